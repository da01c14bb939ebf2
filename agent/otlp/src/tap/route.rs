//! Routes: paths with what differs from request to request taken out of them.
//!
//! The operator's templates go first, in their order. Of any other path, segments that are numbers, UUIDs or long hexadecimal
//! words become `{id}`. A path that was answered with "there is no such thing" has no route unless a template says so:
//! otherwise whoever tries names would make the routes.

/// Segments of a path; what follows them is `{rest}`.
const MAX_SEGMENTS: usize = 8;

/// The longest segment that is kept as it is, in bytes.
const SEGMENT_BYTES: usize = 48;

/// A hexadecimal word of so many digits is an identifier if any of them is a number.
const HEX_DIGITS: usize = 8;

/// A template: segments, of which `{name}` and `*` stand for any one, and `**` or `{name...}` at the end for all that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTemplate(Box<str>);

impl RouteTemplate {
    /// Reads a template such as `/users/{id}/orders`.
    ///
    /// # Errors
    ///
    /// It does not begin with a slash, or something follows what stands for all that follows.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix('/').ok_or("a template begins with /, such as /users/{id}")?;
        let mut segments = rest.split('/').rev();
        segments.next();
        if segments.any(takes_all) {
            return Err("nothing follows ** or {name...}, which stand for all that follows");
        }
        Ok(Self(text.into()))
    }

    /// The template as it is written: the route of the paths that it matches.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for expected in self.0.split('/') {
            if takes_all(expected) {
                return segments.next().is_some();
            }
            let Some(segment) = segments.next() else { return false };
            let any = expected == "*" || (expected.starts_with('{') && expected.ends_with('}'));
            if expected != segment && (!any || segment.is_empty()) {
                return false;
            }
        }
        segments.next().is_none()
    }
}

fn takes_all(segment: &str) -> bool {
    segment == "**" || (segment.starts_with('{') && segment.ends_with("...}"))
}

/// Writes the route of a request for `path` that was answered with `status` into `out`; nothing where it has none.
pub(super) fn write_route(templates: &[RouteTemplate], path: &str, status: i64, out: &mut String) {
    out.clear();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if let Some(template) = templates.iter().find(|template| template.matches(path)) {
        out.push_str(template.as_str());
        return;
    }
    // Bad requests, those for what is not there or not allowed so, and those that were given up before.
    if matches!(status, 400 | 404 | 405 | 410 | 414) || !path.starts_with('/') {
        return;
    }
    for (number, segment) in path.split('/').skip(1).enumerate() {
        out.push('/');
        if number == MAX_SEGMENTS {
            out.push_str("{rest}");
            return;
        }
        out.push_str(if is_identifier(segment) { "{id}" } else { segment });
    }
}

fn is_identifier(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    segment.len() > SEGMENT_BYTES
        || (digits > 0 && digits == segment.len())
        || (hex && digits > 0 && segment.len() >= HEX_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(templates: &[&str], path: &str, status: i64) -> String {
        let templates: Vec<_> = templates.iter().map(|text| RouteTemplate::new(text).unwrap()).collect();
        let mut out = "before".to_owned();
        write_route(&templates, path, status, &mut out);
        out
    }

    #[test]
    fn what_differs_from_request_to_request_is_taken_out_of_a_path() {
        let long = "x".repeat(49);
        for (path, expected) in [
            ("/", "/"),
            ("/users/17/orders/", "/users/{id}/orders/"),
            ("/u/550e8400-e29b-41d4-a716-446655440000", "/u/{id}"),
            ("/blob/deadbeef01", "/blob/{id}"),
            ("/feedface", "/feedface"),
            ("/v1/items?page=2", "/v1/items"),
            (&format!("/a/{long}"), "/a/{id}"),
            ("/1/2/3/4/5/6/7/8/9/10", "/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{rest}"),
            ("*", ""),
            ("http://elsewhere/", ""),
        ] {
            assert_eq!(route(&[], path, 200), expected, "{path}");
        }
    }

    #[test]
    fn templates_go_first_in_their_order() {
        let templates = ["/users/me", "/users/{name}", "/static/**", "/files/{path...}", "/a/*/b"];
        for (path, expected) in [
            ("/users/me", "/users/me"),
            ("/users/ann", "/users/{name}"),
            ("/users/", "/users/"),
            ("/users/ann/x", "/users/ann/x"),
            ("/static/a/b/c.css", "/static/**"),
            ("/files/x", "/files/{path...}"),
            ("/a/x/b", "/a/*/b"),
        ] {
            assert_eq!(route(&templates, path, 200), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_makes_no_route_of_its_own() {
        assert_eq!(route(&[], "/wp-admin.php", 404), "");
        assert_eq!(route(&["/users/{name}"], "/users/nobody", 404), "/users/{name}");
        assert_eq!(route(&[], "/users", 500), "/users");
    }

    #[test]
    fn templates_that_mean_nothing_are_refused() {
        for text in ["users", "/a/**/b", "/a/{rest...}/b"] {
            assert!(RouteTemplate::new(text).is_err(), "{text}");
        }
    }
}
