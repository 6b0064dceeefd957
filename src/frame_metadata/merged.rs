//! One set of settings from several texts of a file.
//!
//! In: settings from each text, the most trusted first. Out: one. Promises: of two values for one
//! thing the first counts, and that the other is different is said; names of samplers and models
//! are compared as tables compare them.

use super::GenerationSettings;
use crate::record::{plain_model, plain_sampler};

impl GenerationSettings {
    /// Names the text that values come from, if nothing nearer is known.
    pub(super) fn read_in(mut self, source: &str) -> Self {
        let known = self.settings();
        for name in known {
            self.sources.entry(name.to_owned()).or_insert_with(|| source.to_owned());
        }
        self
    }

    /// The names of the settings that are known.
    pub(super) fn settings(&self) -> Vec<&'static str> {
        let known = [
            ("prompt", self.prompt.is_some()),
            ("negative_prompt", self.negative_prompt.is_some()),
            ("model", self.model.is_some()),
            ("seed", self.seed.is_some()),
            ("sampler", self.sampler.is_some()),
            ("scheduler", self.scheduler.is_some()),
            ("steps", self.steps.is_some()),
            ("cfg_scale", self.cfg_scale.is_some()),
            ("guidance", self.guidance.is_some()),
            ("denoise", self.denoise.is_some()),
            ("vae", self.vae.is_some()),
            ("upscale", self.upscale.is_some()),
            ("loras", !self.loras.is_empty()),
            ("size", self.size.is_some()),
        ];
        known.into_iter().filter(|(_, is_known)| *is_known).map(|(name, _)| name).collect()
    }

    /// Takes from a less trusted text what is not known, and says what it says otherwise.
    pub(super) fn or_from(mut self, other: &Self) -> Self {
        let Self { sources, notes, tool, software, .. } = other;
        let mut said: Vec<String> = Vec::new();
        let mut taken: Vec<&str> = Vec::new();
        macro_rules! merge {
            ($name:literal, $field:ident, $shown:expr, $same:expr) => {
                match (&self.$field, &other.$field) {
                    (None, Some(value)) => {
                        self.$field = Some(value.clone());
                        taken.push($name);
                    }
                    (Some(one), Some(two)) if !$same(one, two) => {
                        let of = |sources: &std::collections::BTreeMap<String, String>| {
                            sources.get($name).map(|source| {
                                source.split(':').next().unwrap_or_default().to_owned()
                            })
                        };
                        let (here, there) = (
                            of(&self.sources).unwrap_or_default(),
                            of(sources).unwrap_or_default(),
                        );
                        said.push($shown(one, two, &here, &there));
                    }
                    _ => {}
                }
            };
        }
        let long = |name: &'static str| {
            move |_: &String, _: &String, here: &str, there: &str| {
                format!("the {name} of {here} counts; {there} has another one")
            }
        };
        merge!("prompt", prompt, long("prompt"), |one: &String, two: &String| same_text(one, two));
        merge!(
            "negative_prompt",
            negative_prompt,
            long("negative prompt"),
            |one: &String, two: &String| same_text(one, two)
        );
        merge!("model", model, shown("model"), |one: &String, two: &String| plain_model(one)
            == plain_model(two));
        merge!("seed", seed, shown("seed"), PartialEq::eq);
        merge!("sampler", sampler, shown("sampler"), |one: &String, two: &String| plain_sampler(
            one
        )
            == plain_sampler(two));
        merge!("scheduler", scheduler, shown("scheduler"), |one: &String, two: &String| one
            .eq_ignore_ascii_case(two));
        merge!("steps", steps, shown("steps"), PartialEq::eq);
        merge!("cfg_scale", cfg_scale, shown("cfg_scale"), |one: &f64, two: &f64| (one - two)
            .abs()
            < 0.01);
        merge!("guidance", guidance, shown("guidance"), |_: &f64, _: &f64| true);
        merge!("denoise", denoise, shown("denoise"), |_: &f64, _: &f64| true);
        merge!("vae", vae, shown("vae"), |_: &String, _: &String| true);
        merge!("upscale", upscale, shown("upscale"), |_: &String, _: &String| true);
        merge!(
            "size",
            size,
            |one: &[u32; 2], two: &[u32; 2], here: &str, there: &str| {
                format!("size is {}x{} in {here}, {}x{} in {there}", one[0], one[1], two[0], two[1])
            },
            PartialEq::eq
        );
        if self.loras.is_empty() && !other.loras.is_empty() {
            self.loras.clone_from(&other.loras);
            taken.push("loras");
        }
        for name in taken {
            if let Some(source) = sources.get(name) {
                self.sources.insert(name.to_owned(), source.clone());
            }
        }
        self.tool = self.tool.or(*tool);
        self.software = self.software.or_else(|| software.clone());
        self.notes.extend(said);
        self.notes.extend(notes.iter().cloned());
        self
    }
}

fn shown<T: std::fmt::Display>(name: &'static str) -> impl Fn(&T, &T, &str, &str) -> String {
    move |one, two, here, there| format!("{name} is {one} in {here}, {two} in {there}")
}

/// Whether two texts say the same, but for spaces and commas at the ends.
fn same_text(one: &str, two: &str) -> bool {
    let plain = |text: &str| {
        text.split(|letter: char| letter.is_whitespace() || letter == ',')
            .filter(|word| !word.is_empty())
            .collect::<String>()
    };
    plain(one) == plain(two)
}
