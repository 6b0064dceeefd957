//! Speed of a card, and traffic over its bus.
//!
//! In: the scenes, the model on the card. Out: figures, which are neither right nor wrong.

use gemscope::model::Model;
use gemscope::prompt::Prompter;

use super::Check;
use super::scenes::{SCENES, SceneAnswers, SceneQuestions};

impl SceneAnswers {
    fn images_per_second(&self) -> f64 {
        self.ids.len() as f64 / self.seconds
    }

    fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.decoding
    }

    fn speed(&self) -> String {
        format!(
            "{:.2} images/s, {:.1} tokens/s while decoding",
            self.images_per_second(),
            self.tokens_per_second()
        )
    }
}

/// The card's speed beside the CPU's.
pub(super) fn compared(
    name: &'static str,
    card: &anyhow::Result<SceneAnswers>,
    cpu: &anyhow::Result<SceneAnswers>,
) -> Check {
    match (card, cpu) {
        (Ok(card), Ok(cpu)) => Check::measured(
            name,
            format!("{}; on the CPU {}", card.speed(), cpu.speed()),
            [
                ("images_per_second", card.images_per_second()),
                ("tokens_per_second", card.tokens_per_second()),
                ("cpu_images_per_second", cpu.images_per_second()),
                ("cpu_tokens_per_second", cpu.tokens_per_second()),
            ],
        ),
        (Err(error), _) | (_, Err(error)) => Check::failed(name, &format!("{error:#}")),
    }
}

/// The bytes that cross the bus for one image while eight answers are written at a time.
pub(super) fn bus(
    name: &'static str,
    asked: &SceneQuestions,
    prompter: &Prompter,
    model: &mut Model,
) -> anyhow::Result<Check> {
    let before = model.traffic();
    let made = asked.run(prompter, model, SCENES, SCENES)?;
    let (after, images) = (model.traffic(), made.ids.len() as u64);
    let [to, from] = [after.to_device - before.to_device, after.from_device - before.from_device]
        .map(|bytes| bytes / images);
    let tokens = made.tokens as u64 / images;
    Ok(Check::measured(
        name,
        format!(
            "{to} bytes to the card, {from} bytes from it, of an image with an answer of {tokens} \
             tokens"
        ),
        [("bytes_to_card", to as f64), ("bytes_from_card", from as f64), ("tokens", tokens as f64)],
    ))
}
