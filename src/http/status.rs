//! Status codes: their reason phrases and nginx's built-in pages.

use bytes::Bytes;

/// Code and reason as nginx prints them in the status line.
pub fn line(status: u16) -> Option<&'static str> {
    let found = LINES.iter().find(|(code, _)| *code == status)?;
    Some(found.1)
}

/// The head of nginx's own error page, or `None` for codes it has no page for.
pub fn page(status: u16, server_line: &str) -> Option<Bytes> {
    let title = match status {
        494 => "400 Request Header Or Cookie Too Large",
        495 => "400 The SSL certificate error",
        496 => "400 No required SSL certificate was sent",
        497 => "400 The plain HTTP request was sent to HTTPS port",
        // The pages of these two have titles of their own.
        302 => "302 Found",
        401 => "401 Authorization Required",
        ..300 | 304 => return None,
        other => line(other)?,
    };
    let (heading, extra) = match status {
        494..=497 => ("400 Bad Request", format!("<center>{}</center>\r\n", &title[4..])),
        _ => (title, String::new()),
    };
    let text = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
         <center><h1>{heading}</h1></center>\r\n{extra}<hr><center>{server_line}</center>\r\n\
         </body>\r\n</html>\r\n"
    );
    Some(text.into())
}

/// Comments nginx appends for MSIE and Chrome, whose own "friendly" pages hide short answers.
pub const MSIE_PADDING: &str =
    "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";

const LINES: &[(u16, &str)] = &[
    (200, "200 OK"),
    (201, "201 Created"),
    (202, "202 Accepted"),
    (204, "204 No Content"),
    (206, "206 Partial Content"),
    (301, "301 Moved Permanently"),
    (302, "302 Moved Temporarily"),
    (303, "303 See Other"),
    (304, "304 Not Modified"),
    (307, "307 Temporary Redirect"),
    (308, "308 Permanent Redirect"),
    (400, "400 Bad Request"),
    (401, "401 Unauthorized"),
    (402, "402 Payment Required"),
    (403, "403 Forbidden"),
    (404, "404 Not Found"),
    (405, "405 Not Allowed"),
    (406, "406 Not Acceptable"),
    (408, "408 Request Time-out"),
    (409, "409 Conflict"),
    (410, "410 Gone"),
    (411, "411 Length Required"),
    (412, "412 Precondition Failed"),
    (413, "413 Request Entity Too Large"),
    (414, "414 Request-URI Too Large"),
    (415, "415 Unsupported Media Type"),
    (416, "416 Requested Range Not Satisfiable"),
    (421, "421 Misdirected Request"),
    (429, "429 Too Many Requests"),
    (500, "500 Internal Server Error"),
    (501, "501 Not Implemented"),
    (502, "502 Bad Gateway"),
    (503, "503 Service Temporarily Unavailable"),
    (504, "504 Gateway Time-out"),
    (505, "505 HTTP Version Not Supported"),
    (507, "507 Insufficient Storage"),
];
