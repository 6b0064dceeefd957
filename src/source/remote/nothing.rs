//! Files on the web, in a build without an HTTP client.

#![allow(clippy::unused_self)] // these are the methods of the build that has one

use super::{Address, WebOptions};
use crate::source::archive::Listing;
use crate::source::{Content, Span};

const NO_CLIENT: &str = "lies on the web, and this build of gemscope has no HTTP client";

/// Reads no address.
#[derive(Debug, Clone)]
pub(in crate::source) struct Fetcher;

impl Fetcher {
    pub(in crate::source) fn new(_: WebOptions, _: Option<fn(&str)>) -> Self {
        Self
    }

    pub(in crate::source) fn file(&self, address: Address) -> RemoteFile {
        RemoteFile(address)
    }
}

/// A file at an address.
#[derive(Debug, PartialEq, Eq)]
pub struct RemoteFile(Address);

impl RemoteFile {
    /// Its name in records.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub(in crate::source) fn open(&self, _: Option<Span>) -> Result<Content, String> {
        Err(NO_CLIENT.to_owned())
    }

    pub(in crate::source) fn list(&self) -> Result<Listing, String> {
        Err(NO_CLIENT.to_owned())
    }
}
