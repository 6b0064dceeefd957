//! Label Studio's address, and the token for it.
//!
//! In: the address and key that the user named, and what Label Studio says of itself in `/setup`.
//! Out: an [`Account`], and the header that authorizes a request to it. Promises: the user's key
//! goes to the address that the user named alone; a token goes to the address that it came with,
//! whatever is learnt meanwhile; an address that the user did not name is believed only if it is on
//! this machine, and only by a server that no other machine can ask.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::http::{Client, Url, read_body};

/// A JWT for access lasts five minutes; a new one is asked for earlier.
const ACCESS_LIFETIME: Duration = Duration::from_mins(4);
/// The most bytes of the answer with a new one.
const MAX_REFRESH_BYTES: u64 = 1 << 20;

/// A Label Studio that is asked for images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Account {
    /// Its address.
    pub(in super::super) url: Url,
    /// A legacy token, or a personal access token.
    token: Option<String>,
}

/// What is known of Label Studio.
pub(in super::super) struct Accounts {
    named_url: Option<Url>,
    named_token: Option<String>,
    /// Whether what it says of itself is believed.
    believes: bool,
    learned: Mutex<Option<Account>>,
    access: Mutex<Option<Access>>,
}

/// A short-lived token, and the account that it is for.
struct Access {
    account: Account,
    token: String,
    since: Instant,
}

/// Label Studio's answer to a personal access token.
#[derive(Deserialize)]
struct Refreshed {
    access: String,
}

impl Accounts {
    /// `believes` if what Label Studio says of itself counts.
    pub(in super::super) fn new(url: Option<Url>, token: Option<String>, believes: bool) -> Self {
        let (learned, access) = (Mutex::default(), Mutex::default());
        Self { named_url: url, named_token: token, believes, learned, access }
    }

    /// Takes note of the address that Label Studio gives itself, if it is on this machine, and of
    /// its token for it.
    pub(in super::super) fn learn(&self, hostname: &str, token: &str) {
        if let Ok(url) = Url::parse(hostname)
            && url.is_loopback()
            && self.believes
        {
            let token = Some(token.to_owned()).filter(|token| !token.is_empty());
            *lock(&self.learned) = Some(Account { url, token });
        }
    }

    /// The Label Studio of now: the one that was named, or else the one that said where it is.
    pub(in super::super) fn current(&self) -> Option<Account> {
        let learned = lock(&self.learned).clone();
        let Some(url) = self.named_url.clone() else { return learned };
        // Any program of this machine may say to be Label Studio.
        let its_own = || learned.filter(|learned| learned.url.same_origin(&url))?.token;
        let token = self.named_token.clone().or_else(its_own);
        Some(Account { url, token })
    }

    /// The header that shows the account its token; `None` if there is no token, or no access is
    /// given for it before `deadline`. A personal access token is a JWT that is exchanged for
    /// another one, which lasts minutes.
    pub(in super::super) fn authorization(
        &self,
        account: &Account,
        client: &Client,
        deadline: Instant,
    ) -> Option<String> {
        let token = account.token.as_deref()?;
        if token.split('.').count() != 3 {
            return Some(format!("Token {token}"));
        }
        if let Some(known) = &*lock(&self.access)
            && known.account == *account
            && known.since.elapsed() < ACCESS_LIFETIME
        {
            return Some(format!("Bearer {}", known.token));
        }
        let url = account.url.join("/api/token/refresh").ok()?;
        let body = json!({ "refresh": token }).to_string();
        // Half for the answer's head, and half for its body.
        let half = || Some(deadline.checked_duration_since(Instant::now())? / 2);
        let response = client.post(&url, &[], body.as_bytes(), half()?).ok()?;
        let text = read_body(&url, response, MAX_REFRESH_BYTES, half()?).ok()?;
        let Refreshed { access } = serde_json::from_slice(&text).ok()?;
        let since = Instant::now();
        *lock(&self.access) =
            Some(Access { account: account.clone(), token: access.clone(), since });
        Some(format!("Bearer {access}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn header(accounts: &Accounts) -> Option<String> {
        accounts.authorization(&accounts.current()?, &Client::new(true), deadline())
    }

    #[test]
    fn the_users_token_goes_to_the_named_address_alone() {
        let of = |named: Option<&str>| {
            let accounts = Accounts::new(named.map(url), named.map(|_| "mine".into()), true);
            accounts.learn("http://127.0.0.1:9", "its own");
            (accounts.current().unwrap().url.to_string(), header(&accounts).unwrap())
        };
        assert_eq!(of(None), ("http://127.0.0.1:9".to_owned(), "Token its own".to_owned()));
        let named = of(Some("http://ls.example:8080"));
        assert_eq!(named, ("http://ls.example:8080".to_owned(), "Token mine".to_owned()));
        // Without a key of the user's, the token that Label Studio sent for that address.
        let accounts = Accounts::new(Some(url("http://127.0.0.1:9")), None, true);
        accounts.learn("http://127.0.0.1:8", "another's");
        assert_eq!(header(&accounts), None);
        accounts.learn("http://127.0.0.1:9", "its own");
        assert_eq!(header(&accounts).as_deref(), Some("Token its own"));
    }

    #[test]
    fn an_address_of_elsewhere_is_not_believed() {
        let accounts = Accounts::new(None, None, true);
        accounts.learn("https://elsewhere.example", "token");
        assert_eq!(accounts.current(), None);
        let asked_by_others = Accounts::new(None, None, false);
        asked_by_others.learn("http://localhost:8080", "token");
        assert_eq!(asked_by_others.current(), None);
    }

    /// While it is exchanged, another Label Studio says that it is the one.
    #[test]
    fn access_for_one_account_is_not_sent_to_another() {
        let accounts = std::sync::Arc::new(Accounts::new(None, None, true));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let first = format!("http://{}", listener.local_addr().unwrap());
        let meanwhile = std::sync::Arc::clone(&accounts);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            meanwhile.learn("http://127.0.0.1:1", "c.d.e");
            let body = r#"{"access": "for the first"}"#;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
        });
        accounts.learn(&first, "a.b.c");
        assert_eq!(header(&accounts).as_deref(), Some("Bearer for the first"));
        assert_eq!(accounts.current().unwrap().url.to_string(), "http://127.0.0.1:1");
        assert_eq!(header(&accounts), None, "nothing answers there, and no other's access is sent");
        accounts.learn(&first, "a.b.c");
        assert_eq!(header(&accounts).as_deref(), Some("Bearer for the first"));
    }
}
