//! The settings of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    AnimationChoice, AnswerKind, AnswerSchema, BudgetChoice, CritiqueSettings, Decoding, Rules,
    Sampling, ServerUse, Task, Tiling,
};

/// Everything that an answer depends on, except for the image itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The question about images without prompts of their own; `null` if all have them.
    pub task: Option<Task>,
    /// The whole prompts of that, as the model's chat template rendered them: one, or one for each
    /// label.
    pub prompts: Vec<String>,
    /// The questions about single images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_prompts: Option<ImagePrompts>,
    /// The rubric that frames are rated by; not in a run that only detects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critique: Option<CritiqueSettings>,
    /// Soft tokens of a view.
    pub budget: BudgetChoice,
    /// How images are cut into tiles, which are shown beside the whole.
    pub tiles: Option<Tiling>,
    /// How answers are read.
    pub rules: Rules,
    /// The kind of answer, boxes or text, if it was set; otherwise each question's words decide.
    #[serde(default)]
    pub answer: Option<AnswerKind>,
    /// The fields of structured answers, as a JSON schema; not in other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<AnswerSchema>,
    /// Whether EXIF orientation is applied.
    pub apply_orientation: bool,
    /// Whether only as many pixels of a JPEG are decoded as the budget needs; not in runs from
    /// before there was the choice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fast_decode: bool,
    /// Whether each video is asked about as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clip: bool,
    /// Which frames of animated files are judged.
    #[serde(default, skip_serializing_if = "AnimationChoice::is_first")]
    pub animation: AnimationChoice,
    /// The constraint on answers.
    #[serde(default)]
    pub decoding: Decoding,
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Which weights answer.
    pub model: ModelIdentity,
    /// How the server that has the model was asked; not in runs of graphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
    /// `cuda` if a CUDA device computed: its answers may differ from the CPU's in the last digits
    /// of a score, and now and then in a token, so a run stays on one kind of device. Absent in
    /// runs on the CPU.
    #[serde(default = "cpu", skip_serializing_if = "is_cpu")]
    pub device: String,
}

fn cpu() -> String {
    "cpu".to_owned()
}

fn is_cpu(device: &str) -> bool {
    device == "cpu"
}

impl Settings {
    /// Settings with everything at its default but the budget and the model: nothing is asked yet.
    pub fn of(budget: BudgetChoice, model: ModelIdentity) -> Self {
        Self {
            task: None,
            prompts: Vec::new(),
            image_prompts: None,
            critique: None,
            budget,
            tiles: None,
            rules: Rules::default(),
            answer: None,
            schema: None,
            apply_orientation: true,
            fast_decode: false,
            clip: false,
            animation: AnimationChoice::First,
            decoding: Decoding::Free,
            max_new_tokens: 0,
            sampling: Sampling::Greedy,
            model,
            server: None,
            device: cpu(),
        }
    }

    /// Takes over the axes of `now`, and what belongs to them.
    pub(super) fn go_on_with_axes(&mut self, now: &Self) {
        // Pairs are compared by one prompt, and have no axes.
        if now.critique.as_ref().is_none_or(|wanted| wanted.axes.is_empty()) {
            return;
        }
        let (Some(earlier), Some(wanted)) = (self.critique.take(), now.critique.clone()) else {
            return;
        };
        if !earlier.asks_for_boxes() {
            self.decoding = now.decoding;
        }
        let mut prompts = self.prompts_by_axis(&earlier);
        prompts.extend(now.prompts_by_axis(&wanted));
        let after = wanted.after(earlier);
        let alike = after.axes.iter().filter(|axis| axis.is_same_of_every_frame());
        self.prompts = alike.filter_map(|axis| prompts.get(&axis.name)).cloned().collect();
        self.critique = Some(after);
    }

    /// Whether every axis that is asked in the same words here and in `now` makes the same prompt.
    pub fn prompts_axes_as(&self, now: &Self) -> bool {
        let (Some(here), Some(wanted)) = (&self.critique, &now.critique) else { return false };
        let prompts = [self.prompts_by_axis(here), now.prompts_by_axis(wanted)];
        let text = |of: &CritiqueSettings, name: &str| {
            of.axes.iter().find(|axis| axis.name == name).map(|axis| axis.text.clone())
        };
        let counted = |settings: &Self, of: &CritiqueSettings| {
            let axes = of.axes.iter().filter(|axis| axis.is_same_of_every_frame());
            !of.axes.is_empty() && settings.prompts.len() == axes.count()
        };
        let same = |(name, prompt): (&String, &String)| {
            text(here, name) != text(wanted, name)
                || prompts[1].get(name).is_none_or(|now| now == prompt)
        };
        counted(self, here) && counted(now, wanted) && prompts[0].iter().all(same)
    }

    /// The prompts of the axes of `critique`, these settings' own, that ask the same of every frame.
    fn prompts_by_axis(&self, critique: &CritiqueSettings) -> BTreeMap<String, String> {
        let axes = critique.axes.iter().filter(|axis| axis.is_same_of_every_frame());
        axes.map(|axis| axis.name.clone()).zip(self.prompts.iter().cloned()).collect()
    }

    /// The labels that are asked for, in order: those of every image, then those of single ones.
    pub fn labels(&self) -> &[String] {
        match &self.image_prompts {
            Some(prompts) => &prompts.labels,
            None => self.task.as_ref().map_or(&[], Task::labels),
        }
    }
}

/// Which model a run was made with, wherever it lies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Graphs, their external data and the tokenizer: a hash of each (large files by size and
    /// evenly spread pieces). For a server, its own data about the model: name, digest, sizes.
    pub files: BTreeMap<String, String>,
    /// Ids that end an answer.
    pub stop_ids: Vec<u32>,
    /// Ids that are never generated.
    pub suppressed_ids: Vec<u32>,
    /// How products take their activations, if it is not as the graphs say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<Activations>,
}

/// How products with weights of 4 or 8 bits take what they are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// Rounded to 8 bits, a scale for each block: products of integers.
    Int8,
    /// As they are.
    Float,
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int8 => "int8",
            Self::Float => "float",
        })
    }
}

impl FromStr for Activations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "int8" => Ok(Self::Int8),
            "float" => Ok(Self::Float),
            _ => Err(format!("{text:?} is neither int8 nor float")),
        }
    }
}

/// The questions about single images, as `run.json` keeps them: the records have the prompts
/// themselves, and their hash, so that an image is asked again if its prompt changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePrompts {
    /// Images that have prompts of their own.
    pub images: usize,
    /// All labels of the run: those of every image, and of single ones in the order of the images'
    /// names.
    pub labels: Vec<String>,
}

impl ImagePrompts {
    /// The same for a run that asked `earlier` before: its labels come first, in their order.
    pub(super) fn after(mut self, earlier: &Self) -> Self {
        let mut labels = earlier.labels.clone();
        labels.extend(self.labels.into_iter().filter(|label| !earlier.labels.contains(label)));
        self.labels = labels;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AskedAxis, Budget};

    fn asking(axes: &[(&str, &str)]) -> Settings {
        let axis = |(name, text): &(&str, &str)| AskedAxis {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
            words: vec!["yes".to_owned(), "no".to_owned()],
            labels: Vec::new(),
            clauses: None,
            why: None,
        };
        let axes: Vec<AskedAxis> = axes.iter().map(axis).collect();
        let alike = axes.iter().filter(|axis| axis.is_same_of_every_frame());
        let prompts = alike.map(|axis| format!("<turn>{}", axis.text)).collect();
        let critique = Some(CritiqueSettings { axes, first: Vec::new(), min_mass: 0.05 });
        let budget = BudgetChoice::Fixed(Budget::try_from(280).unwrap());
        Settings { prompts, critique, ..Settings::of(budget, ModelIdentity::default()) }
    }

    /// A question becomes one about the prompt, and back: the settings stay whole.
    #[test]
    fn prompts_stay_those_of_their_axes() {
        let mut settings = asking(&[("a", "q"), ("b", "r")]);
        for axes in [&[("a", "{clause}?"), ("b", "r")][..], &[("b", "r"), ("a", "s"), ("c", "t")]] {
            let now = asking(axes);
            assert!(settings.prompts_axes_as(&now));
            settings.go_on_with_axes(&now);
            assert!(settings.prompts_axes_as(&now), "the same command goes on");
        }
        assert_eq!(settings.prompts, ["<turn>s", "<turn>r", "<turn>t"]);
        let mut other = asking(&[("b", "r")]);
        other.prompts[0] = "another template".to_owned();
        assert!(!settings.prompts_axes_as(&other));
    }
}
