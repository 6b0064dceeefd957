//! A server is tried with one picture.
//!
//! In: a picture of the run's largest budget. Out: whether the budget can be set, how answers are
//! held to a list of boxes, whether probabilities come, how many soft tokens the picture became.
//! Promises: what is left once a request is answered is known to work together.

use super::capabilities::{
    BUDGET, CONSTRAINT, Capabilities, Constraint, PROBABILITIES, PictureTokens,
};
use super::{
    AnswerForm, Ask, AskError, BoxList, Logprobs, Picture, Server, ServerError, ServerKind,
};
use crate::record::Sampling;

/// The question of the try. No answer to it is read.
const QUESTION: &str = "detect shape";

impl Server {
    /// Shows it a picture of `planned` soft tokens under `budget`, and keeps what it can do.
    ///
    /// # Errors
    /// [`ServerError`] if it has no answer, whatever is left out.
    pub fn try_out(
        &mut self,
        picture: &Picture,
        budget: u32,
        planned: u32,
    ) -> Result<(), ServerError> {
        self.capabilities = Capabilities::most_of(self.kind);
        let form = AnswerForm::Boxes(BoxList { labels: Some(vec!["shape".to_owned()]), most: 300 });
        let ask = Ask {
            system: None,
            thinking: false,
            pictures: std::slice::from_ref(picture),
            text: QUESTION,
            max_tokens: 2,
            sampling: Sampling::Greedy,
            form: Some(&form),
            logprobs: Logprobs::OfAnswer,
            budget,
        };
        let reply = loop {
            match self.ask(&ask, &|| false) {
                Ok(reply) => break reply,
                Err(AskError::View(reason)) => {
                    if !self.capabilities.leave_out(&reason, self.kind) {
                        return Err(ServerError::Refused(reason));
                    }
                }
                Err(error) => return Err(ServerError::Unanswered(error.to_string())),
            }
        };
        if self.capabilities.probabilities && reply.first.is_none() {
            self.capabilities.probabilities = false;
            self.capabilities
                .refused
                .push((PROBABILITIES, "none came, though they were asked for".to_owned()));
        }
        self.capabilities.fingerprint = reply.fingerprint;
        let seen = self.soft_tokens(&ask, reply.usage.prompt, planned, &|| false);
        self.capabilities.picture_tokens = seen.map(|seen| PictureTokens { planned, seen });
        Ok(())
    }

    /// Its limits, a sentence each.
    pub fn limits(&self) -> Vec<String> {
        let capabilities = &self.capabilities;
        let mut limits = Vec::new();
        match (self.kind, capabilities.reason(BUDGET)) {
            (ServerKind::Vllm, Some(reason)) => limits.push(format!(
                "the budget of a picture is the server's own, since it does not take one with a \
                 request (it is started with --trust-request-mm-kwargs, or with the budget in \
                 --mm-processor-kwargs): {reason}"
            )),
            (ServerKind::Llama, _) => limits.push(
                "the budget of a picture is sent as its size, which llama.cpp keeps from 70 to \
                 1120 tokens (or what \
                 --image-min-tokens and --image-max-tokens say); smaller ones are enlarged there"
                    .to_owned(),
            ),
            (ServerKind::Ollama | ServerKind::OpenAi, _) => {
                limits.push(
                    "the budget of a picture is sent as its size, and cannot be set otherwise"
                        .to_owned(),
                );
            }
            (ServerKind::Vllm, None) => {}
        }
        match capabilities.picture_tokens {
            Some(PictureTokens { planned, seen }) if planned != seen => {
                limits.push(format!("it makes {seen} soft tokens of a picture of {planned}"));
            }
            Some(_) => {}
            None => limits.push(
                "how many soft tokens a picture becomes is not known: no figures came".to_owned(),
            ),
        }
        match (capabilities.constraint, capabilities.reason(CONSTRAINT)) {
            (None, reason) => {
                let reason = reason.unwrap_or_default();
                limits.push(format!("answers are not held to a list of boxes: {reason}"));
            }
            (Some(Constraint::Schema), Some(reason)) => {
                limits.push(format!(
                    "answers are held to a list of boxes by a schema, and not by \
                                     a grammar: {reason}"
                ));
            }
            _ => {}
        }
        if let (false, reason) = (capabilities.probabilities, capabilities.reason(PROBABILITIES)) {
            let reason = reason.unwrap_or_default();
            limits.push(format!(
                "boxes have no scores, and frames cannot be rated, without probabilities: {reason}"
            ));
        } else if !self.gives_scores(true) {
            limits.push(
                "boxes have no scores where answers are held to a grammar, since vLLM takes \
                 probabilities after it; decoding freely gives them"
                    .to_owned(),
            );
        }
        limits
    }
}
