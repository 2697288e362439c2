//! Header lists: nginx's order, case and repetition are kept.

use bytes::Bytes;
/// One header line, as it came or as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: Bytes,
    pub value: Bytes,
}

/// An ordered list of header lines.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    list: Vec<Header>,
}

impl Headers {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.list.iter()
    }

    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Appends a line, whatever is there already.
    pub fn add(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.list.push(Header { name: name.into(), value: value.into() });
    }

    /// The first value of `name`, in any letter case.
    pub fn first(&self, name: &str) -> Option<&Bytes> {
        self.list.iter().find(|h| is(h, name.as_bytes())).map(|h| &h.value)
    }

    /// All values of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Bytes> {
        self.list.iter().filter(move |h| is(h, name)).map(|h| &h.value)
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.list.iter().any(|h| is(h, name))
    }

    /// Replaces the first line of that name in its place and drops the others; appends when there
    /// is none.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        match self.list.iter().position(|h| is(h, &name)) {
            Some(at) => {
                self.list[at].value = value;
                self.list[at].name = name.clone();
                let mut index = 0;
                self.list.retain(|h| {
                    index += 1;
                    index - 1 <= at || !is(h, &name)
                });
            }
            None => self.list.push(Header { name, value }),
        }
    }

    /// Drops every line of that name; tells whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.list.len();
        self.list.retain(|h| !is(h, name));
        before != self.list.len()
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&Header) -> bool) {
        self.list.retain(|h| keep(h));
    }

    /// Whether no two lines have the same name.
    pub fn names_differ(&self) -> bool {
        let twice = |(at, header): (usize, &Header)| {
            self.list[..at].iter().any(|before| is(before, &header.name))
        };
        !self.list.iter().enumerate().any(twice)
    }

    /// Values of `name` joined by `separator`, as nginx's `$http_*` variables show repeated
    /// headers.
    pub fn joined(&self, name: &[u8], separator: &[u8]) -> Option<Bytes> {
        let mut values = self.all(name);
        let first = values.next()?.clone();
        let Some(second) = values.next() else { return Some(first) };
        let mut text = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            text.extend_from_slice(separator);
            text.extend_from_slice(value);
        }
        Some(text.into())
    }

    /// The first value of a variable-style name: letters lowered, `-` written as `_`.
    pub fn by_variable_name(&self, name: &[u8], separator: &[u8]) -> Option<Bytes> {
        let found = self.list.iter().find(|h| same_as_variable(&h.name, name))?;
        self.joined(&found.name.clone(), separator)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(lines: I) -> Self {
        Self { list: lines.into_iter().collect() }
    }
}

/// The response head as handlers and filters shape it; nginx's `headers_out`.
#[derive(Clone, Debug, Default)]
pub struct HeadersOut {
    /// 0 until somebody chose one; sent as 200.
    pub status: u16,
    /// The text after the version, when it is not the usual one (`404 Gone Fishing`).
    pub status_line: Option<Bytes>,
    /// Without charset.
    pub content_type: Option<Bytes>,
    pub charset: Option<Bytes>,
    pub content_length: Option<u64>,
    /// Seconds since the epoch.
    pub last_modified: Option<i64>,
    pub list: Headers,
    pub trailers: Headers,
    /// Cleared by a script: the usual `Server` and `Date` lines are not sent.
    pub hides_server: bool,
    pub hides_date: bool,
    /// Trailers follow the body: it has to be chunked.
    pub expects_trailers: bool,
    /// `Location` is sent as it is: scripts and upstreams that set a path mean a path.
    pub location_as_is: bool,
    /// `add_header` and the range filter must not treat this as a static answer.
    pub accept_ranges: bool,
}

impl HeadersOut {
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets what describes a body: length, ranges, validators; keeps status and other lines.
    pub fn clear_body_facts(&mut self) {
        self.content_length = None;
        self.accept_ranges = false;
        self.last_modified = None;
        for name in [&b"Content-Length"[..], b"Accept-Ranges", b"Last-Modified", b"ETag"] {
            self.list.remove(name);
        }
    }

    /// Sets a line by its name; those that are fields of the response are set there.
    pub fn set_line(&mut self, name: Bytes, value: Bytes) {
        match &name.to_ascii_lowercase()[..] {
            b"content-type" => self.set_content_type(value),
            b"content-length" => {
                let text = std::str::from_utf8(&value);
                self.content_length = text.ok().and_then(|text| text.parse().ok());
            }
            b"last-modified" => {
                self.last_modified = None;
                self.list.set(name, value);
            }
            lower => {
                self.location_as_is |= lower == b"location";
                self.list.set(name, value);
            }
        }
    }

    /// Drops the lines of that name; those nginx writes by itself are then not written.
    pub fn drop_line(&mut self, name: &[u8]) {
        match &name.to_ascii_lowercase()[..] {
            b"content-type" => (self.content_type, self.charset) = (None, None),
            b"content-length" => self.content_length = None,
            b"last-modified" => self.last_modified = None,
            b"accept-ranges" => self.accept_ranges = false,
            b"server" => self.hides_server = true,
            b"date" => self.hides_date = true,
            _ => {}
        }
        self.list.remove(name);
    }

    /// Takes over a whole `Content-Type` line. A charset written in another way than we would
    /// stays with the type, so that the line is sent as it came.
    pub fn set_content_type(&mut self, line: Bytes) {
        let marker = b"; charset=";
        // The only parameter, then.
        let only = memchr::memchr(b';', &line)
            .filter(|at| memchr::memchr(b';', &line[at + 1..]).is_none());
        match only.filter(|at| line[*at..].starts_with(marker)) {
            Some(at) => {
                self.content_type = Some(line.slice(..at));
                self.charset = Some(line.slice(at + marker.len()..));
            }
            None => {
                self.content_type = Some(line);
                self.charset = None;
            }
        }
    }

    /// The media type with its charset, as the `Content-Type` line shows it.
    pub fn content_type_line(&self) -> Option<Bytes> {
        let kind = self.content_type.as_ref()?;
        match &self.charset {
            Some(charset) if !charset.is_empty() => {
                let mut line = kind.to_vec();
                line.extend_from_slice(b"; charset=");
                line.extend_from_slice(charset);
                Some(line.into())
            }
            _ => Some(kind.clone()),
        }
    }
}

fn is(header: &Header, name: &[u8]) -> bool {
    header.name.len() == name.len() && header.name.eq_ignore_ascii_case(name)
}

fn same_as_variable(header: &[u8], variable: &[u8]) -> bool {
    header.len() == variable.len()
        && header.iter().zip(variable).all(|(h, v)| match h {
            b'-' => *v == b'_',
            _ => h.eq_ignore_ascii_case(v),
        })
}
