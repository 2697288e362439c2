//! A typed bag of feature structs, one bag per block, inherited from block to block.
//!
//! ```text
//!  http { sendfile on;  server { root /a;  location / { index x; } } }
//!         Scope ───────▶ Scope ──────────▶ Scope            child.inherit(&parent)
//!         [Core, Proxy]  [Core]            [Index]          afterwards each holds all three
//! ```
//!
//! A feature keeps its settings in a struct of `Option` fields, implements [`Part`] for it and
//! never learns which other features share the bag. When a block is complete the owner of the
//! block tree calls [`Scope::inherit`] from the outside in, and shares the finished scopes.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The settings of every feature in one block.
#[derive(Default)]
pub struct Scope {
    parts: Vec<(TypeId, Box<dyn AnyPart>)>,
}

impl Scope {
    /// An empty bag.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings of one feature; its defaults when no directive of it stands in this block.
    pub fn part<T: Part>(&self) -> &T {
        self.find::<T>().unwrap_or_else(|| defaults::<T>())
    }

    /// The settings of one feature, if any of its directives stands in this block or above it.
    pub fn find<T: Part>(&self) -> Option<&T> {
        let part = &self.parts.iter().find(|(id, _)| *id == TypeId::of::<T>())?.1;
        part.as_any().downcast_ref()
    }

    /// The settings of one feature, for its directives to write into.
    pub fn part_mut<T: Part>(&mut self) -> &mut T {
        let id = TypeId::of::<T>();
        let at = self.parts.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.parts.push((id, Box::new(T::default())));
            self.parts.len() - 1
        });
        self.parts[at].1.as_any_mut().downcast_mut().expect("parts are stored under their own type")
    }

    /// Fills what this block leaves unset from the enclosing one, for every part either has.
    pub fn inherit(&mut self, parent: &Scope) {
        for (id, part) in &parent.parts {
            if !self.parts.iter().any(|(known, _)| known == id) {
                self.parts.push((*id, part.fresh()));
            }
        }
        for (id, part) in &mut self.parts {
            match parent.parts.iter().find(|(known, _)| known == id) {
                Some((_, above)) => part.inherit_any(above.as_any()),
                None => part.inherit_default(),
            }
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|(_, part)| part.name())).finish()
    }
}

/// What one feature keeps per block.
pub trait Part: Any + Send + Sync + Default {
    /// Takes from the enclosing block what is unset here (nginx's merge). Called once per block,
    /// from the outside in; with a parent of defaults where the enclosing block has no such part.
    fn inherit(&mut self, parent: &Self);
}

/// Takes the parent's values for the named `Option` fields that are unset here.
///
/// `inherit!(self, parent: sendfile, root, timeout_ms)`
#[macro_export]
macro_rules! inherit {
    ($child:expr, $parent:ident : $($field:ident),+ $(,)?) => {
        $( if $child.$field.is_none() { $child.$field.clone_from(&$parent.$field); } )+
    };
}
pub use inherit;

/// [`Part`] without its type, as the bag stores it.
trait AnyPart: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn fresh(&self) -> Box<dyn AnyPart>;
    fn inherit_any(&mut self, parent: &dyn Any);
    fn inherit_default(&mut self);
    fn name(&self) -> &'static str;
}

impl<T: Part> AnyPart for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn fresh(&self) -> Box<dyn AnyPart> {
        Box::new(T::default())
    }
    fn inherit_any(&mut self, parent: &dyn Any) {
        if let Some(parent) = parent.downcast_ref() {
            self.inherit(parent);
        }
    }
    fn inherit_default(&mut self) {
        self.inherit(defaults::<T>());
    }
    fn name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}

/// One default value per type, made once per process and found again without a lock.
fn defaults<T: Part>() -> &'static T {
    type Table = HashMap<TypeId, &'static (dyn Any + Send + Sync)>;
    static ALL: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
    thread_local! {
        static SEEN: RefCell<Table> = RefCell::default();
    }
    let id = TypeId::of::<T>();
    let known = SEEN.with_borrow(|seen| seen.get(&id).copied());
    let any = known.unwrap_or_else(|| {
        // Made before the lock is taken: a default may read other parts' defaults.
        let fresh: Box<dyn Any + Send + Sync> = Box::new(T::default());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = *all.entry(id).or_insert_with(|| Box::leak(fresh));
        SEEN.with_borrow_mut(|seen| seen.insert(id, shared));
        shared
    });
    any.downcast_ref().expect("defaults are stored under their own type")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Default)]
    struct Core {
        root: Option<String>,
        index: Option<String>,
    }

    impl Part for Core {
        fn inherit(&mut self, parent: &Self) {
            inherit!(self, parent: root, index);
        }
    }

    #[derive(Default)]
    struct Own(Option<u32>);

    impl Part for Own {
        fn inherit(&mut self, _: &Self) {
            self.0.get_or_insert(7);
        }
    }

    #[test]
    fn parts_are_found_by_type_and_inherited() {
        let mut main = Scope::new();
        main.part_mut::<Core>().root = Some("/a".into());
        let mut server = Scope::new();
        server.part_mut::<Core>().index = Some("x".into());
        server.part_mut::<Own>().0 = Some(1);
        let mut location = Scope::new();
        server.inherit(&main);
        location.inherit(&server);
        let shared = Arc::new(location);
        std::thread::spawn(move || {
            assert_eq!(shared.part::<Core>().root.as_deref(), Some("/a"));
            assert_eq!(shared.part::<Core>().index.as_deref(), Some("x"));
            assert_eq!(shared.part::<Own>().0, Some(7));
        })
        .join()
        .expect("the reading thread ends well");
        assert!(main.find::<Own>().is_none());
        assert!(main.part::<Own>().0.is_none());
    }
}
