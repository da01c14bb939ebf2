//! Proxies between the host and a destination.
//!
//! Only proxies that are themselves reached over plain HTTP. What a proxy sees of telemetry under TLS is the host's name.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// A proxy that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Proxy(Intercept);

impl Proxy {
    /// Reads `http://user:password@host:port`. The error says what would be right, and nothing of the text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "is no URL; write http://host:port, with user:password@ before the host if it wants them";
        let uri: Uri = text.parse().map_err(|_| FORM)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("is to be reached over TLS, which is not supported; write http://"),
            _ => return Err(FORM),
        }
        if uri.authority().is_none_or(|authority| authority.port_u16().is_none_or(|port| port == 0)) {
            return Err("has no usable port; write http://host:port, as in http://proxy.example:3128");
        }
        if uri.path_and_query().is_some_and(|rest| rest != "/") {
            return Err("has a path, which no proxy has; leave it out");
        }
        let matcher = Matcher::builder().all(text).build();
        matcher.intercept(&Uri::from_static("http://any")).map(Self).ok_or(FORM)
    }

    pub(crate) fn uri(&self) -> &Uri {
        self.0.uri()
    }

    /// `Proxy-Authorization`, if it wants a name and a password.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.basic_auth()
    }
}

/// The proxy that the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not, name for
/// `endpoint`. A destination on this host is never reached through a proxy.
pub fn proxy_from_environment<'a>(
    endpoint: &str,
    variable: impl Fn(&str) -> Option<&'a str>,
) -> Option<&'a str> {
    let uri: Uri = endpoint.parse().ok()?;
    let value = |name: &str| {
        let found = variable(name).or_else(|| variable(&name.to_ascii_lowercase()));
        found.map(str::trim).filter(|text| !text.is_empty())
    };
    let own = if uri.scheme_str() == Some("https") { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let proxy = value(own).or_else(|| value("ALL_PROXY"))?;
    let exempt = format!("localhost,127.0.0.0/8,::1,{}", value("NO_PROXY").unwrap_or_default());
    Matcher::builder().all("http://any").no(exempt).build().intercept(&uri).map(|_| proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_plain_url_with_a_port_and_its_credentials_become_a_header() {
        let proxy = Proxy::parse("http://agent:p%40ss@proxy.example:3128/").unwrap();
        assert_eq!(proxy.uri().to_string(), "http://proxy.example:3128/");
        // agent:p@ss
        assert_eq!(proxy.authorization().unwrap(), "Basic YWdlbnQ6cEBzcw==");
        assert!(proxy.authorization().unwrap().is_sensitive());
        assert!(Proxy::parse("http://proxy:3128").unwrap().authorization().is_none());
        for (text, expected) in [
            ("proxy:3128", "write http://host:port"),
            ("", "write http://host:port"),
            ("https://proxy:3128", "over TLS"),
            ("socks5://proxy:1080", "write http://host:port"),
            ("http://proxy", "no usable port"),
            ("http://proxy:0", "no usable port"),
            ("http://user:secret@proxy", "no usable port"),
            ("http://proxy:3128/path", "has a path"),
        ] {
            let problem = Proxy::parse(text).unwrap_err();
            assert!(problem.contains(expected) && !problem.contains("secret"), "{text}: {problem}");
        }
    }

    #[test]
    fn the_variables_name_a_proxy_by_the_endpoints_scheme_and_exempt_hosts() {
        let all = [
            ("HTTPS_PROXY", "http://s:1"),
            ("http_proxy", "http://p:2"),
            ("NO_PROXY", "in.example, 10.0.0.0/8"),
        ];
        for (variables, endpoint, expected) in [
            (&all[..], "https://c.example:4317", Some("http://s:1")),
            (&all, "http://c.example:4317", Some("http://p:2")),
            (&all, "https://a.in.example", None),
            (&all, "https://notin.example", Some("http://s:1")),
            (&all, "http://10.1.2.3:4318", None),
            (&all, "http://localhost:4318", None),
            (&all, "http://127.0.0.1:4318", None),
            (&all, "http://[::1]:4318", None),
            (&[("ALL_PROXY", "http://a:3")], "https://c", Some("http://a:3")),
            (&[("ALL_PROXY", "http://a:3"), ("NO_PROXY", "*")], "https://c", None),
            (&[("HTTPS_PROXY", " ")], "https://c", None),
            (&[("HTTP_PROXY", "http://p:2")], "https://c", None),
            (&[], "https://c", None),
        ] {
            let variable =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            assert_eq!(proxy_from_environment(endpoint, variable), expected, "{endpoint} {variables:?}");
        }
    }
}
