//! A server that answers the questions of a session.
//!
//! In: a server's options, and the requirements of the questions. Out: the server, tried with one
//! picture. Promises: it is not contacted before a run is wanted; a missing capability that is
//! needed is an error before the first image.

use std::sync::{Arc, OnceLock};

use super::{Observer, SessionError};
use crate::preprocess::target_size;
use crate::record::{Budget, Decoding, ModelIdentity, ServerDescription, ServerUse};
use crate::server::{Picture, Server, ServerError, ServerKind, ServerOptions};

/// Side of the square picture that a server is tried with, before it is brought to the budget's
/// size.
const SIDE: u32 = 1024;
/// Its grey.
const GREY: u8 = 150;

/// Requirements on the model.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // each is a thing that a server may not be able to do
pub(super) struct ModelRequirements {
    /// The largest budget of a view.
    pub(super) budget: Budget,
    /// Whether the model is to think.
    pub(super) thinking: bool,
    /// Whether frames are rated by words.
    pub(super) ratings: bool,
    /// Whether the image is to stand between blank lines.
    pub(super) image_newlines: bool,
    /// How answers are to be decoded.
    pub(super) decoding: Decoding,
    /// Whether that was asked for by name.
    pub(super) insists: bool,
}

/// A server, asked once it is needed.
pub(super) struct RemoteModel {
    options: ServerOptions,
    offline: bool,
    server: OnceLock<Arc<Server>>,
}

impl RemoteModel {
    pub(super) fn of(options: &ServerOptions, offline: bool) -> Self {
        Self { options: options.clone(), offline, server: OnceLock::new() }
    }

    /// The model's name, once it is known.
    pub(super) fn name(&self) -> String {
        let known = self.server.get().map(|server| server.model.clone());
        known
            .or_else(|| self.options.model.clone())
            .unwrap_or_else(|| "a server's model".to_owned())
    }

    /// The server, once it was tried.
    pub(super) fn server(&self) -> Option<&Arc<Server>> {
        self.server.get()
    }

    /// Tries the server once, and checks that it meets the requirements. Its other limits are
    /// reported.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) fn connect(
        &self,
        needs: &ModelRequirements,
        observer: &dyn Observer,
    ) -> Result<Arc<Server>, SessionError> {
        if needs.image_newlines {
            return Err(ServerError::ImageLines.into());
        }
        let server = if let Some(server) = self.server.get() {
            Arc::clone(server)
        } else {
            let server = Arc::new(open(&self.options, self.offline, needs.budget, observer)?);
            Arc::clone(self.server.get_or_init(|| server))
        };
        let capabilities = server.capabilities();
        let reason = |what| capabilities.reason(what).unwrap_or_default().to_owned();
        if needs.thinking && server.kind == ServerKind::OpenAi {
            return Err(ServerError::NoThoughts(server.kind.name()).into());
        }
        if needs.ratings && !capabilities.probabilities {
            return Err(ServerError::NoProbabilities { reason: reason("probabilities") }.into());
        }
        if needs.insists && needs.decoding != Decoding::Free && capabilities.constraint.is_none() {
            return Err(ServerError::NoConstraint { reason: reason("constraint") }.into());
        }
        Ok(server)
    }
}

/// The server of `options`, tried with a picture of `budget`.
///
/// # Errors
/// [`ServerError`].
pub fn open(
    options: &ServerOptions,
    offline: bool,
    budget: Budget,
    observer: &dyn Observer,
) -> Result<Server, ServerError> {
    let mut server = Server::open(options, offline, &|text| observer.say(text))?;
    let version = server.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    observer.say(&format!("Server: {}{version}, model {}.", server.kind.name(), server.model));
    let refused = |error: &dyn std::fmt::Display| ServerError::Refused(error.to_string());
    let size = target_size(SIDE, SIDE, budget).map_err(|error| refused(&error))?;
    let rgb = vec![GREY; size.width as usize * size.height as usize * 3];
    let picture = Picture::of(&rgb, size.width, size.height, options.pictures)
        .map_err(|error| refused(&error))?;
    server.try_out(&picture, budget.soft_tokens(), size.soft_tokens())?;
    for limit in server.limits() {
        observer.say(&format!("  {limit}."));
    }
    Ok(server)
}

/// Which model a server has, wherever it is.
pub(super) fn identity(server: &Server) -> ModelIdentity {
    let files =
        server.weights.iter().map(|(what, value)| ((*what).to_owned(), value.clone())).collect();
    ModelIdentity { files, ..ModelIdentity::default() }
}

/// How it is asked, and with it the decoding that it really does.
pub(super) fn used(server: &Server, decoding: Decoding) -> (ServerUse, Decoding) {
    let capabilities = server.capabilities();
    let constraint = capabilities.constraint.filter(|_| decoding != Decoding::Free);
    let used = ServerUse {
        kind: server.kind.as_str().to_owned(),
        budget_per_request: capabilities.budget,
        constraint: constraint.map(|constraint| constraint.as_str().to_owned()),
        probabilities: capabilities.probabilities,
        pictures: server.options().pictures.as_str().to_owned(),
    };
    (used, if constraint.is_some() { decoding } else { Decoding::Free })
}

/// Its description of itself.
pub(super) fn describe(server: &Server) -> ServerDescription {
    let capabilities = server.capabilities();
    ServerDescription {
        version: server.version.clone(),
        fingerprint: capabilities.fingerprint.clone(),
        soft_tokens_planned: capabilities.picture_tokens.map(|looked| looked.planned),
        soft_tokens_seen: capabilities.picture_tokens.map(|looked| looked.seen),
        limits: server.limits(),
    }
}
