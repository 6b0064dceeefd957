//! The addresses of the Hub and its cache, and the limits of what may be fetched.
//!
//! In: the environment variables of Python's `huggingface_hub`. Out: [`HubOptions`]. Promises: each
//! variable means here what it means there.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::HubError;
use crate::files;

/// The addresses of the Hub and its cache, and how far requests may go.
#[derive(Clone)]
#[non_exhaustive]
pub struct HubOptions {
    /// The Hub's address, without a `/` at its end.
    pub endpoint: String,
    /// The folder that holds a folder for each model.
    pub cache: PathBuf,
    /// Sent to the endpoint, and to no other host.
    pub token: Option<String>,
    /// How far requests may go.
    pub reach: Reach,
    /// True if snapshots link to the blobs of the cache, rather than hold the files themselves.
    pub links: bool,
    /// Says how many bytes are free on the disk of a folder.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
}

/// How far requests may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the endpoint and the hosts that it sends files from.
    Network,
    /// To hosts on this machine: offline, by gemscope's own setting.
    Loopback,
    /// Nowhere: `HF_HUB_OFFLINE`.
    Nowhere,
}

const ENDPOINT: &str = "https://huggingface.co";

impl HubOptions {
    /// The cache alone, for models that are opened and never fetched.
    ///
    /// # Errors
    /// [`HubError::NoHome`].
    pub fn cache_from_env() -> Result<PathBuf, HubError> {
        Places::of(dirs::home_dir().as_deref(), &|name| env::var_os(name))
            .cache
            .ok_or(HubError::NoHome)
    }

    /// The options of the environment. `offline` is gemscope's own setting.
    ///
    /// # Errors
    /// [`HubError::NoHome`] and [`HubError::Variable`].
    pub fn from_env(offline: bool) -> Result<Self, HubError> {
        Self::from_variables(offline, dirs::home_dir().as_deref(), |name| env::var_os(name))
    }

    fn from_variables(
        offline: bool,
        home: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is_true = |name: &str| {
            let value = set(name).map(|value| value.to_string_lossy().to_ascii_uppercase());
            value.is_some_and(|value| matches!(value.as_str(), "1" | "ON" | "YES" | "TRUE"))
        };
        let places = Places::of(home, &variable);
        let cache = places.cache.ok_or(HubError::NoHome)?;
        let text = |name: &'static str, value: OsString| {
            let reason = || HubError::Variable { variable: name, reason: "is no text".to_owned() };
            value.into_string().map_err(|_| reason())
        };
        let token = match set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Some(text("HF_TOKEN", token)?),
            None if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") => None,
            None => places.token.and_then(|file| files::read_text(&file).ok()),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            let reason = "has characters that no token has".to_owned();
            return Err(HubError::Variable { variable: "HF_TOKEN", reason });
        }
        let endpoint = set("HF_ENDPOINT").map(|value| text("HF_ENDPOINT", value)).transpose()?;
        let reach = match is_true("HF_HUB_OFFLINE") {
            true => Reach::Nowhere,
            false if offline => Reach::Loopback,
            false => Reach::Network,
        };
        Ok(Self {
            endpoint: endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').to_owned(),
            cache,
            token,
            reach,
            links: !is_true("HF_HUB_DISABLE_SYMLINKS"),
            free_bytes: free_bytes_near,
        })
    }
}

/// Paths by the environment's variables.
struct Places {
    cache: Option<PathBuf>,
    token: Option<PathBuf>,
}

impl Places {
    fn of(home: Option<&Path>, variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some(match (Path::new(&value).strip_prefix("~"), home) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(value),
            })
        };
        let caches = path("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| caches.map(|caches| caches.join("huggingface")));
        let in_home = |name: &str| hf_home.as_ref().map(|home| home.join(name));
        Self {
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .or_else(|| in_home("hub")),
            token: path("HF_TOKEN_PATH").or_else(|| in_home("token")),
        }
    }
}

impl std::fmt::Debug for HubOptions {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, cache, reach, links, .. } = self;
        write!(
            f,
            "HubOptions {{ endpoint: {endpoint:?}, cache: {cache:?}, reach: {reach:?}, links: \
             {links}, .. }}"
        )
    }
}

/// Free bytes on the disk of `folder`, which need not exist yet.
fn free_bytes_near(folder: &Path) -> io::Result<u64> {
    let there = folder.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("."));
    fs4::available_space(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Result<HubOptions, HubError> {
        HubOptions::from_variables(false, Some(Path::new("/home/me")), |name| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_mean_what_they_mean_to_python() {
        let cache = |variables: &[_]| options(variables).unwrap().cache;
        assert_eq!(cache(&[]), Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(
            cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]),
            Path::new("/home/me/hf/hub")
        );
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        let of = |name: &str, value: &str| options(&[(name, value)]).unwrap();
        assert_eq!(of("HF_ENDPOINT", "https://mirror.example/").endpoint, "https://mirror.example");
        assert_eq!(of("HF_HUB_OFFLINE", "1").reach, Reach::Nowhere);
        assert_eq!(of("HF_HUB_OFFLINE", "0").reach, Reach::Network);
        assert!(
            !of("HF_HUB_DISABLE_SYMLINKS", "true").links && of("HF_HUB_DISABLE_SYMLINKS", "").links
        );
        assert!(HubOptions::from_variables(false, None, |_| None).is_err());
    }

    #[test]
    fn a_token_is_that_of_the_variable_else_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "hf_file\n").unwrap();
        let (file, home) = (file.to_str().unwrap(), dir.path().to_str().unwrap());
        let token = |variables: &[_]| options(variables).unwrap().token;
        assert_eq!(
            token(&[("HF_TOKEN", " hf_set "), ("HF_TOKEN_PATH", file)]).as_deref(),
            Some("hf_set")
        );
        assert_eq!(token(&[("HF_TOKEN_PATH", file)]).as_deref(), Some("hf_file"));
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("hf_file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert!(options(&[("HF_TOKEN", "two words")]).is_err());
        assert!(
            !format!("{:?}", options(&[("HF_TOKEN", "hf_secret")]).unwrap()).contains("hf_secret")
        );
    }
}
