//! The phases Lua code runs in, their names in messages, and named sets of them.

/// Where the running Lua code was entered. The numbers are lua-nginx-module's, which scripts can
/// see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Phase {
    Init = 0,
    Set = 0x1,
    Rewrite = 0x2,
    Access = 0x4,
    Content = 0x8,
    Log = 0x10,
    HeaderFilter = 0x20,
    BodyFilter = 0x40,
    Timer = 0x80,
    InitWorker = 0x100,
    Balancer = 0x200,
    SslCert = 0x400,
    SslSessStore = 0x800,
    SslSessFetch = 0x1000,
    ExitWorker = 0x2000,
    SslClientHello = 0x4000,
    ServerRewrite = 0x8000,
    ProxySslVerify = 0x1_0000,
    Precontent = 0x2_0000,
    ProxySslCert = 0x4_0000,
}

impl Phase {
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// As in "API disabled in the context of ...".
    pub fn context_name(self) -> &'static str {
        match self {
            Self::Init => "init_by_lua*",
            Self::Set => "set_by_lua*",
            Self::Rewrite => "rewrite_by_lua*",
            Self::Access => "access_by_lua*",
            Self::Content => "content_by_lua*",
            Self::Log => "log_by_lua*",
            Self::HeaderFilter => "header_filter_by_lua*",
            Self::BodyFilter => "body_filter_by_lua*",
            Self::Timer => "ngx.timer",
            Self::InitWorker => "init_worker_by_lua*",
            Self::Balancer => "balancer_by_lua*",
            Self::SslCert => "ssl_certificate_by_lua*",
            Self::SslSessStore => "ssl_session_store_by_lua*",
            Self::SslSessFetch => "ssl_session_fetch_by_lua*",
            Self::ExitWorker => "exit_worker_by_lua*",
            Self::SslClientHello => "ssl_client_hello_by_lua*",
            Self::ServerRewrite => "server_rewrite_by_lua*",
            Self::ProxySslVerify => "proxy_ssl_verify_by_lua*",
            Self::Precontent => "precontent_by_lua*",
            Self::ProxySslCert => "proxy_ssl_certificate_by_lua*",
        }
    }

    /// The answer of `ngx.get_phase()`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Set => "set",
            Self::Rewrite => "rewrite",
            Self::Access => "access",
            Self::Content => "content",
            Self::Log => "log",
            Self::HeaderFilter => "header_filter",
            Self::BodyFilter => "body_filter",
            Self::Timer => "timer",
            Self::InitWorker => "init_worker",
            Self::Balancer => "balancer",
            Self::SslCert => "ssl_cert",
            Self::SslSessStore => "ssl_session_store",
            Self::SslSessFetch => "ssl_session_fetch",
            Self::ExitWorker => "exit_worker",
            Self::SslClientHello => "ssl_client_hello",
            Self::ServerRewrite => "server_rewrite",
            Self::ProxySslVerify => "proxy_ssl_verify",
            Self::Precontent => "precontent",
            Self::ProxySslCert => "proxy_ssl_cert",
        }
    }
}

/// Also without a running context: no check at all.
pub const ANY: u32 = u32::MAX;

/// Every phase but init: something runs that has a context.
pub const WITH_CTX: u32 = ANY >> 1;

/// Phases that serve a client's request.
pub const REQUEST: u32 = Phase::Set.bit()
    | Phase::Rewrite.bit()
    | Phase::ServerRewrite.bit()
    | Phase::Access.bit()
    | Phase::Precontent.bit()
    | Phase::Content.bit()
    | Phase::Log.bit()
    | Phase::HeaderFilter.bit()
    | Phase::BodyFilter.bit()
    | Phase::Balancer.bit()
    | Phase::ProxySslCert.bit()
    | Phase::ProxySslVerify.bit();

/// The phases before the response of which Lua code decides what happens.
pub const HANDLERS: u32 = Phase::Rewrite.bit()
    | Phase::ServerRewrite.bit()
    | Phase::Access.bit()
    | Phase::Precontent.bit()
    | Phase::Content.bit();

/// Phases whose code runs as a light thread and may wait.
pub const YIELDABLE: u32 = HANDLERS
    | Phase::Timer.bit()
    | Phase::SslCert.bit()
    | Phase::SslSessFetch.bit()
    | Phase::SslClientHello.bit()
    | Phase::ProxySslVerify.bit()
    | Phase::ProxySslCert.bit();
