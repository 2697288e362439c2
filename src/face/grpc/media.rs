//! Content types: which protocol a request speaks, and in which codec.

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Triple's and Connect's unary calls: the body is the message.
    Unary,
    Grpc,
    /// Connect's streams: frames, and the end as a frame too.
    Connect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Json,
    Proto,
}

/// One content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    pub protocol: Protocol,
    pub codec: Codec,
    pub name: &'static str,
}

impl Media {
    /// Finds what a header says; parameters other than the charset are not looked for.
    pub fn find(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?.to_ascii_lowercase();
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let same = |name: &str| name.replace(' ', "") == text;
        ALL.iter().find(|media| same(media.name)).copied()
    }

    pub fn fits(&self, streams: bool) -> bool {
        match self.protocol {
            Protocol::Grpc => true,
            Protocol::Unary => !streams,
            Protocol::Connect => streams,
        }
    }
}

/// What a method takes, for `Accept-Post`.
pub fn accepted(streams: bool) -> String {
    let mut names: Vec<&str> =
        ALL.iter().filter(|media| media.fits(streams)).map(|media| media.name).collect();
    names.sort_unstable();
    names.join(", ")
}

/// Dubbo-go knows hessian2 and msgpack as well; they are not offered here.
const ALL: &[Media] = &[
    media(Protocol::Unary, Codec::Json, "application/json"),
    media(Protocol::Unary, Codec::Json, "application/json; charset=utf-8"),
    media(Protocol::Unary, Codec::Proto, "application/proto"),
    media(Protocol::Grpc, Codec::Proto, "application/grpc"),
    media(Protocol::Grpc, Codec::Proto, "application/grpc+proto"),
    media(Protocol::Grpc, Codec::Json, "application/grpc+json"),
    media(Protocol::Grpc, Codec::Json, "application/grpc+json; charset=utf-8"),
    media(Protocol::Connect, Codec::Json, "application/connect+json"),
    media(Protocol::Connect, Codec::Proto, "application/connect+proto"),
];

const fn media(protocol: Protocol, codec: Codec, name: &'static str) -> Media {
    Media { protocol, codec, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken() {
        let json = Media::find(b"Application/JSON;charset=UTF-8").expect("known");
        assert_eq!(
            (json.protocol, json.name),
            (Protocol::Unary, "application/json; charset=utf-8")
        );
        assert!(Media::find(b"text/plain").is_none());
        assert!(Media::find(b"application/grpcx").is_none());
        assert!(!json.fits(true));
        assert!(accepted(false).starts_with("application/grpc, application/grpc+json, "));
        assert!(accepted(false).ends_with("application/json; charset=utf-8, application/proto"));
        assert!(!accepted(true).contains("application/json"));
    }
}
