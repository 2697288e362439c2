//! A radix tree: what stands at the prefixes of a text, in as many steps as the text has forks.
//!
//! ```text
//!  "/a/" ─┬─ "b" ─ …      Tree: grows      Prefixes: frozen, only read, close together
//!         └─ "cd" ─ …
//! ```

/// A radix tree that is being built, with something at each prefix.
pub struct Tree<T> {
    nodes: Vec<TreeNode>,
    things: Vec<T>,
}

struct TreeNode {
    /// What stands between the node above and this one.
    label: Box<[u8]>,
    /// By the first bytes of their labels, in order.
    below: Vec<(u8, usize)>,
    thing: Option<usize>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        let root = TreeNode { label: Box::default(), below: Vec::new(), thing: None };
        Self { nodes: vec![root], things: Vec::new() }
    }
}

impl<T: Default> Tree<T> {
    /// What stands at a prefix, made when nothing does.
    pub fn of(&mut self, prefix: &[u8]) -> &mut T {
        let at = self.place(prefix);
        let next = self.things.len();
        let thing = *self.nodes[at].thing.get_or_insert(next);
        if thing == next {
            self.things.push(T::default());
        }
        &mut self.things[thing]
    }

    /// The node of a prefix, made when it is not there.
    fn place(&mut self, prefix: &[u8]) -> usize {
        let (mut at, mut rest) = (0, prefix);
        while let Some(first) = rest.first() {
            let found = self.nodes[at].below.binary_search_by_key(first, |(byte, _)| *byte);
            let below = match found {
                Ok(slot) => self.nodes[at].below[slot].1,
                Err(slot) => {
                    let leaf = self.add(rest, Vec::new(), None);
                    self.nodes[at].below.insert(slot, (*first, leaf));
                    return leaf;
                }
            };
            let label = &self.nodes[below].label;
            let same = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if same < label.len() {
                self.split(below, same);
            }
            (at, rest) = (below, &rest[same..]);
        }
        at
    }

    fn add(&mut self, label: &[u8], below: Vec<(u8, usize)>, thing: Option<usize>) -> usize {
        self.nodes.push(TreeNode { label: label.into(), below, thing });
        self.nodes.len() - 1
    }

    /// Cuts a node's label in two; the second part becomes a node below it.
    fn split(&mut self, at: usize, same: usize) {
        let node = &mut self.nodes[at];
        let (head, tail) = node.label.split_at(same);
        let (head, tail): (Box<[u8]>, Vec<u8>) = (head.into(), tail.to_vec());
        let (below, thing) = (std::mem::take(&mut node.below), node.thing.take());
        node.label = head;
        let lower = self.add(&tail, below, thing);
        self.nodes[at].below.push((tail[0], lower));
    }

    /// The tree in few pieces of memory, with a last hand at each thing.
    pub fn freeze(mut self, finish: impl FnMut(&mut T)) -> Prefixes<T> {
        self.things.iter_mut().for_each(finish);
        let mut frozen = Prefixes { things: self.things, ..Prefixes::default() };
        let mut places = vec![0];
        let mut next = 0;
        while let Some(node) = places.get(next).and_then(|at| self.nodes.get(*at)) {
            let label = frozen.labels.len() as u32;
            frozen.labels.extend_from_slice(&node.label);
            let below = frozen.below.len() as u32;
            for (byte, at) in &node.below {
                frozen.below.push((*byte, places.len() as u32));
                places.push(*at);
            }
            frozen.nodes.push(Frozen {
                label,
                label_end: frozen.labels.len() as u32,
                below,
                below_end: frozen.below.len() as u32,
                thing: node.thing.map(|thing| thing as u32),
            });
            next += 1;
        }
        frozen
    }
}

/// A tree that is only read.
#[derive(Default)]
pub struct Prefixes<T> {
    nodes: Vec<Frozen>,
    labels: Vec<u8>,
    below: Vec<(u8, u32)>,
    things: Vec<T>,
}

#[derive(Clone, Copy)]
struct Frozen {
    label: u32,
    label_end: u32,
    below: u32,
    below_end: u32,
    thing: Option<u32>,
}

impl<T> Prefixes<T> {
    /// What stands at all prefixes of `uri`, shortest first.
    pub fn passed(&self, uri: &[u8]) -> Vec<&T> {
        let mut passed = Vec::new();
        let mut rest = uri;
        let mut node = self.nodes.first();
        while let Some(Frozen { below, below_end, thing, .. }) = node.copied() {
            passed.extend(thing.and_then(|thing| self.things.get(thing as usize)));
            let Some(first) = rest.first() else { break };
            let below = &self.below[below as usize..below_end as usize];
            let Ok(slot) = below.binary_search_by_key(first, |(byte, _)| *byte) else { break };
            node = self.nodes.get(below[slot].1 as usize);
            let label = node.map(|node| &self.labels[node.label as usize..node.label_end as usize]);
            match label.and_then(|label| rest.strip_prefix(label)) {
                Some(after) => rest = after,
                None => break,
            }
        }
        passed
    }
}
