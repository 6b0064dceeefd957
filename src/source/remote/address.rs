//! Addresses of files on the web.
//!
//! In: text of an input or a list. Out: the address that is asked for, and the name that its file
//! has in records. Promises: a name holds no password and no signature, so that it stays the same
//! when the address is signed anew; an address is one of `http` or `https` and names a host; what
//! no address may hold (blanks, letters beyond ASCII) is escaped.

use std::fmt;

use super::signature;
use crate::percent;

/// Longer ones are refused, as most servers do.
const LONGEST: usize = 16 << 10;

/// An address of a file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// With everything that was given but a user, a password and a fragment.
    text: String,
    /// Of the text, the part behind the authority.
    path_at: usize,
    /// `user:password`, as it stands in the address.
    user: Option<String>,
    name: String,
}

impl Address {
    /// The address that `text` is; `None` if it is no text of that kind.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub(in crate::source) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = split_scheme(text)?;
        Some(Self::of_rest(scheme, rest))
    }

    fn of_rest(scheme: &str, rest: &str) -> Result<Self, String> {
        if rest.len() > LONGEST {
            return Err(format!("an address of more than {LONGEST} bytes"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        // A password with a slash in it would be the beginning of a path.
        let port = host.rsplit(']').next().unwrap_or_default().split_once(':').map(|(_, at)| at);
        let is_port = |port: &str| {
            port.is_empty()
                || port.starts_with(|first: char| first.is_ascii_digit())
                    && port.parse::<u16>().is_ok()
        };
        if host.is_empty()
            || host.starts_with(':')
            || !host.bytes().all(is_of_host)
            || !port.is_none_or(is_port)
        {
            return Err("an address without a host (letters beyond ASCII are written as xn--...)"
                .to_owned());
        }
        // And one of digits before it, the port.
        let path = behind.split('?').next().unwrap_or_default();
        let is_sure = user.is_none() && (host.contains(['.', '[']) || is_this_machine(host));
        if port.is_some() && path.contains('@') && !is_sure {
            return Err("an address whose user, or path, has an @: in a password a slash is \
                        written %2F, in a path an @ is written %40"
                .to_owned());
        }
        let host = host.to_ascii_lowercase();
        let slash = if behind.starts_with('/') { "" } else { "/" };
        let behind = escaped(behind);
        let text = format!("{scheme}://{host}{slash}{behind}");
        let path_at = scheme.len() + 3 + host.len();
        let (path, query) = text.split_once('?').unwrap_or((&text, ""));
        let query = signature::without(query);
        let name = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Ok(Self { text, path_at, user, name })
    }

    /// The name in records.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is asked for. It may hold a signature.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// `user:password`.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Host and port.
    pub(super) fn host(&self) -> &str {
        let scheme = self.text.find("://").map_or(0, |at| at + 3);
        &self.text[scheme..self.path_at]
    }

    /// The path, without the query.
    pub(in crate::source) fn path(&self) -> &str {
        self.text[self.path_at..].split('?').next().unwrap_or_default()
    }
}

/// Without what must not be shown.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({:?})", self.name)
    }
}

/// Whether an image of that name lies at an address.
pub fn is_address(name: &str) -> bool {
    split_scheme(name).is_some()
}

/// `text` as it may be shown: an address without its user, password and signature, all else as it
/// is.
pub fn shown(text: &str) -> String {
    match Address::parse(text) {
        None => text.to_owned(),
        Some(Ok(address)) => address.name,
        // What cannot be read may hold a secret anywhere behind its host.
        Some(Err(_)) => {
            let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
            let host = if rest.contains('@') { "" } else { rest };
            format!("{scheme}://{}", host.split(['/', '?', '#']).next().unwrap_or_default())
        }
    }
}

/// `text` with every address in it that holds a secret as it may be shown.
pub fn without_secrets(text: &str) -> String {
    if is_address(text) {
        return without_secret(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = next_address(rest) {
        let (before, address) = rest.split_at(at);
        let end =
            address.find(|c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c));
        let (address, behind) = address.split_at(end.unwrap_or(address.len()));
        shown.push_str(before);
        shown.push_str(&without_secret(address));
        rest = behind;
    }
    shown + rest
}

/// An address as it may be shown, if it holds a secret; else as it is.
fn without_secret(text: &str) -> String {
    match Address::parse(text) {
        Some(Ok(address)) if address.user.is_none() && address.text == address.name => {
            text.to_owned()
        }
        _ => shown(text),
    }
}

/// The place of the first address in `text`.
fn next_address(text: &str) -> Option<usize> {
    let begins = |at: usize| text.get(at..).is_some_and(is_address);
    text.match_indices(['h', 'H']).map(|(at, _)| at).find(|at| begins(*at))
}

/// Whether the host, which may have a port, is called as every machine calls itself.
fn is_this_machine(host: &str) -> bool {
    host.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("localhost"))
}

fn split_scheme(text: &str) -> Option<(&'static str, &str)> {
    ["https", "http"].into_iter().find_map(|scheme| {
        let begins =
            text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
        let rest = text.get(scheme.len()..).filter(|_| begins)?;
        Some((scheme, rest.strip_prefix("://")?))
    })
}

/// Everything that no address may hold as `%HH`; a `%` stays what it is.
fn escaped(text: &str) -> String {
    percent::escaped(text, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_name_is_the_address_without_its_secrets() {
        for (text, name) in [
            ("https://host/a.jpg", "https://host/a.jpg"),
            ("HTTPS://Host.Example:8443/A.jpg#t=1", "https://host.example:8443/A.jpg"),
            ("http://me:secret@10.0.0.1/a/b.png?id=1", "http://10.0.0.1/a/b.png?id=1"),
            ("https://h/a b é.jpg?w=1&X-Amz-Signature=5", "https://h/a%20b%20%C3%A9.jpg?w=1"),
            ("https://h?sig=1&sv=2", "https://h/"),
            ("https://[::1]:80/a%2Fb.jpg", "https://[::1]:80/a%2Fb.jpg"),
        ] {
            assert_eq!(address(text).name(), name, "{text}");
            assert_eq!(shown(text), name);
        }
        let signed = address("https://me:pw@h/a.jpg?X-Amz-Signature=5");
        assert_eq!(signed.text(), "https://h/a.jpg?X-Amz-Signature=5");
        assert_eq!((signed.user(), signed.host(), signed.path()), (Some("me:pw"), "h", "/a.jpg"));
        assert_eq!(format!("{signed:?}"), "Address(\"https://h/a.jpg\")");
    }

    #[test]
    fn an_at_in_a_path_is_none_of_a_user() {
        for text in ["http://localhost:8080/a@2x.png", "http://10.0.0.1:80/@me/a", "https://h/a@b"]
        {
            assert_eq!(address(text).name(), text);
        }
        assert_eq!(address("https://me:pw%2F1@h:80/a").user(), Some("me:pw%2F1"));
    }

    #[test]
    fn secrets_are_left_out_of_any_text() {
        for (text, shown) in [
            ("a.jpg", "a.jpg"),
            ("https://h/a.jpg#t", "https://h/a.jpg#t"),
            ("https://me:pw@h/a b.jpg", "https://h/a%20b.jpg"),
            (
                "--input=http://h/a?sig=1&sv=2&w=3 'https://u@h' hHTTPs://u:p@h",
                "--input=http://h/a?w=3 'https://h/' hhttps://h/",
            ),
            ("# (https://h/a?X-Amz-Signature=5)", "# (https://h/a"),
            ("see https://h/?q=1 and http://h", "see https://h/?q=1 and http://h"),
            ("http://me:1/2@h/", "http://"),
        ] {
            assert_eq!(without_secrets(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_a_path() {
        for path in ["a.jpg", "s3://bucket/a.jpg", "https:/host/a.jpg", "file:///a.jpg", "http"] {
            assert!(Address::parse(path).is_none() && !is_address(path), "{path}");
            assert_eq!(shown(path), path);
        }
        for wrong in ["https://", "https:///a.jpg", "https://:80/", "https://exämple.org/a.jpg"] {
            assert!(Address::parse(wrong).unwrap().is_err(), "{wrong}");
        }
        assert_eq!(shown("https://exämple.org/a?sig=1"), "https://exämple.org");
        for secret in [
            "https://me:se/cret@host/a",
            "https://me:12/34@host/a",
            "https://me@mail.example:12/34@host/a",
            "https://me:123456/7@host/a",
            "https://me:+1/2@host/a",
            "https://me:se?cret@host/",
            "https://a:b@é/",
        ] {
            assert!(Address::parse(secret).unwrap().is_err(), "{secret}");
            assert_eq!(shown(secret), "https://");
        }
    }
}
