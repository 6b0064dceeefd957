//! Which layout the texts of a file are in, and whose word counts.
//!
//! In: the texts of a file, or one object. Out: [`GenerationSettings`], with the text that each
//! comes from. Promises: what a program writes of itself comes first, then the graph that was run,
//! then what a saver wrote beside it, then the graph that was drawn; a text that begins with `{`
//! and is no JSON is a text.

use serde_json::{Map, Value};

use super::texts::Texts;
use super::{
    a1111, civitai, comfyui, container, draw_things, invokeai, json, midjourney, named, novelai,
    stealth,
};
use crate::record::{GenerationSettings, Tool};

/// The settings in a PNG, JPEG, WebP or AVIF file; `None` if the file says nothing of how it was
/// made, or is of another format.
pub fn read(bytes: &[u8]) -> Option<GenerationSettings> {
    let mut texts = container::texts(bytes);
    let notes = std::mem::take(&mut texts.notes);
    let mut settings = of_texts(&texts);
    if !settings.is_known()
        && let Some(hidden) = stealth::read(bytes)
    {
        settings = of_hidden(&hidden).read_in("hidden text").or_from(&settings);
    }
    settings.notes.splice(0..0, notes);
    // If something is there and cannot be read, that is known at least.
    settings.bounded().if_any()
}

/// Texts that anybody may have written.
const COMMENTS: [&str; 4] = ["comment", "UserComment", "Comment", "Description"];

/// What each layout gives, the most trusted first.
fn of_texts(texts: &Texts) -> GenerationSettings {
    let mut found: Vec<GenerationSettings> = Vec::new();
    found.extend(of_invokeai(texts));
    let novelai = of_novelai(texts);
    let is_novelai = novelai.is_some();
    found.extend(novelai);
    for name in
        ["generation_data", "parameters", "comment", "UserComment", "Comment", "xmp comment"]
    {
        if name == "Comment" && is_novelai {
            continue;
        }
        found.extend(
            texts.all(name).filter_map(|text| Some(of_own(name, text)?.read_in(shown(name)))),
        );
    }
    let (graph, is_made) = of_graphs(texts);
    let infotexts = ["parameters", "xmp parameters"].into_iter().flat_map(|name| {
        texts
            .all(name)
            .filter(|text| !is_object(text))
            .filter_map(|text| Some(of_infotext(texts, text)?.read_in(name)))
    });
    let beside: Vec<GenerationSettings> = infotexts
        .chain(
            COMMENTS
                .iter()
                .flat_map(|name| texts.all(name))
                .filter_map(|text| of_comment(texts, text)),
        )
        .map(|settings| without_defaults(settings, graph.is_some()))
        .collect();
    // What a model wrote as the graph ran stands in the saver's text only.
    if is_made {
        found.extend(beside.iter().find(|settings| settings.prompt.is_some()).map(|settings| {
            GenerationSettings { prompt: settings.prompt.clone(), ..GenerationSettings::default() }
                .read_in("parameters")
        }));
    }
    found.extend(graph);
    found.extend(beside);
    found.extend(of_fields(texts));
    found.extend(of_midjourney(texts));
    let whole = found.into_iter().reduce(|one, other| one.or_from(&other)).unwrap_or_default();
    with_drawn(whole, texts)
}

/// What a reader of records calls a text.
fn shown(name: &str) -> &str {
    if name == "xmp comment" { "XMP" } else { name }
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && json::parse(text).is_ok_and(|value| value.is_object())
}

fn of_invokeai(texts: &Texts) -> Option<GenerationSettings> {
    for name in ["invokeai_metadata", "sd-metadata"] {
        if let Some(text) = texts.get(name) {
            let read = |object: &Map<String, Value>| invokeai::read(object).by(Tool::InvokeAi);
            return Some(of_json(name, text, read).read_in(name));
        }
    }
    texts.get("Dream").map(|text| invokeai::read_command(text).by(Tool::InvokeAi).read_in("Dream"))
}

fn of_novelai(texts: &Texts) -> Option<GenerationSettings> {
    texts.get("Software").filter(|software| software.contains("NovelAI"))?;
    let beside =
        novelai::Beside { description: texts.get("Description"), source: texts.get("Source") };
    let text = texts.get("Comment")?;
    Some(of_json("Comment", text, |object| novelai::read(object, &beside)).read_in("Comment"))
}

/// What a program wrote of itself, in an object that is no graph.
fn of_own(name: &str, text: &str) -> Option<GenerationSettings> {
    let Ok(Value::Object(object)) = json::parse(text) else {
        let begins = text.trim_start().starts_with('{');
        // A text with a line of pairs is a prompt that begins so.
        return (begins && name == "parameters" && !a1111::looks_like(text))
            .then(|| of_json(name, text, of_object));
    };
    if name == "generation_data" {
        let mut settings = named::read(&without_drawn_seed(object)).by(Tool::TensorArt);
        settings.scheduler = settings.scheduler.filter(|name| named::is_chosen(name));
        return Some(settings);
    }
    let is_graph = comfyui::graph_of(&object).is_some();
    match civitai::read(&object) {
        Some(settings) => Some(settings),
        None if is_graph => None,
        None => {
            Some(of_object(&object)).filter(|settings| name == "parameters" || settings.is_known())
        }
    }
}

/// `-1` stands for a seed that was drawn when the frame was made.
fn without_drawn_seed(mut object: Map<String, Value>) -> Map<String, Value> {
    if object
        .get("seed")
        .is_some_and(|seed| seed.as_str() == Some("-1") || seed.as_i64() == Some(-1))
    {
        object.remove("seed");
    }
    object
}

/// The graph that was run; whether a part of its prompt is known only when it runs.
fn of_graphs(texts: &Texts) -> (Option<GenerationSettings>, bool) {
    let object = |text: &str| match json::parse(text) {
        Ok(Value::Object(object)) => Some(object),
        // Some write the JSON of its text.
        Ok(Value::String(text)) => match json::parse(&text) {
            Ok(Value::Object(object)) => Some(object),
            _ => None,
        },
        _ => None,
    };
    let drawn = texts.get("workflow").and_then(object);
    let names = ["prompt", "comment", "UserComment", "parameters"];
    for text in names.into_iter().flat_map(|name| texts.all(name)) {
        if let Some(mut drawing) = object(text).and_then(|object| comfyui::graph_of(&object)) {
            drawing.name_outputs(drawn.as_ref());
            let (settings, is_made) = comfyui::read(&drawing);
            return (Some(settings.by(Tool::ComfyUi)), is_made);
        }
    }
    let broken = texts.get("prompt").filter(|text| {
        text.trim_start().starts_with(['{', '[']) && texts.get("workflow").is_some()
    });
    let broken = broken.or_else(|| texts.get("prompt").filter(|text| looks_like_a_graph(text)));
    (broken.map(|text| of_json("prompt", text, of_object)), false)
}

fn looks_like_a_graph(text: &str) -> bool {
    let begins = text.trim_start().starts_with(['{', '[']);
    begins && (text.contains("class_type") || text.contains("\":") || json::parse(text).is_ok())
}

/// Takes from the graph that was drawn what nothing else says, if nothing else says what was
/// sampled: a text that was empty as the graph ran is not another one's.
fn with_drawn(settings: GenerationSettings, texts: &Texts) -> GenerationSettings {
    let Some(text) = texts.get("workflow") else { return settings };
    if settings.prompt.is_some() || settings.seed.is_some() || settings.steps.is_some() {
        return settings;
    }
    let mut drawn = of_json("workflow", text, of_object);
    if settings.is_known() {
        drawn.notes.clear();
    }
    settings.or_from(&drawn)
}

fn of_infotext(texts: &Texts, text: &str) -> Option<GenerationSettings> {
    let mut settings = a1111::read(text)?;
    let tool = if texts.get("fooocus_scheme").is_some() {
        Tool::Fooocus
    } else if texts.get("parameters-json").is_some() {
        Tool::StabilityMatrix
    } else if text.contains("Civitai resources:") {
        Tool::Civitai
    } else {
        Tool::A1111
    };
    settings.tool = Some(tool);
    Some(settings)
}

/// Comments that anybody may have written: they must look like settings.
fn of_comment(texts: &Texts, text: &str) -> Option<GenerationSettings> {
    let is_settings = !is_object(text) && a1111::looks_like(text);
    is_settings.then(|| Some(of_infotext(texts, text)?.read_in("comment")))?
}

/// A saver that is not told what a graph does writes its own defaults.
fn without_defaults(mut settings: GenerationSettings, has_graph: bool) -> GenerationSettings {
    let is_default = |text: &Option<String>| text.as_deref() == Some("unknown");
    if !is_default(&settings.prompt) {
        return settings;
    }
    let note = "the saver was not told the settings, and wrote its own defaults".to_owned();
    if has_graph {
        return GenerationSettings { tool: settings.tool, ..GenerationSettings::default() };
    }
    settings.prompt = None;
    settings.negative_prompt = settings.negative_prompt.filter(|text| text != "unknown");
    settings.seed = settings.seed.filter(|seed| *seed != 0);
    settings.notes.push(note);
    settings
}

/// A text for each setting, as Easy Diffusion writes them.
fn of_fields(texts: &Texts) -> Option<GenerationSettings> {
    let mut read = named::Named::default();
    let mut count = 0;
    for (name, text) in texts.pairs() {
        let is_graph = text.trim_start().starts_with('{') && json::parse(text).is_ok();
        if let Some(field) = named::field(name)
            .filter(|_| name != "Software" && !is_graph && !looks_like_a_graph(text))
        {
            read.take_or_note(field, name, &Value::from(text));
            count += 1;
        }
    }
    let settings = read.finish();
    let tool = if count > 2 { Some(Tool::EasyDiffusion) } else { None };
    (count > 0 && settings.is_known())
        .then(|| GenerationSettings { tool, ..settings }.read_in("texts by name"))
}

fn of_midjourney(texts: &Texts) -> Option<GenerationSettings> {
    ["Description", "xmp description", "comment"].into_iter().find_map(|name| {
        let read = |text: &str| Some(midjourney::read(text)?.read_in(name));
        texts.all(name).find_map(read)
    })
}

fn of_hidden(text: &str) -> GenerationSettings {
    match json::parse(text) {
        Ok(Value::Object(object)) => of_object(&object),
        _ => a1111::read(text).map(|settings| settings.by(Tool::A1111)).unwrap_or_default(),
    }
}

/// A JSON object in any of the layouts, told by its keys.
pub(super) fn of_object(object: &Map<String, Value>) -> GenerationSettings {
    if let Some(inner) = object.get("sui_image_params").and_then(Value::as_object) {
        return named::read(inner).by(Tool::SwarmUi);
    }
    if let Some(settings) = civitai::read(object) {
        return settings;
    }
    if let Some(drawing) = comfyui::graph_of(object) {
        return comfyui::read(&drawing).0.by(Tool::ComfyUi);
    }
    if let Some(settings) = novelai::of_object(object).or_else(|| draw_things::read(object)) {
        return settings;
    }
    if object.contains_key("positive_prompt") || object.contains_key("app_version") {
        return invokeai::read(object).by(Tool::InvokeAi);
    }
    let settings = named::read(object);
    if !settings.is_known() {
        // An answer of a service has the settings one level down.
        const INNER: [&str; 7] =
            ["meta", "metadata", "parameters", "params", "settings", "generation", "args"];
        let inner = INNER.iter().find_map(|name| object.get(*name));
        if let Some(Value::Object(inner)) = inner {
            return of_object(inner);
        }
        let text =
            inner.and_then(Value::as_str).or_else(|| object.get("infotexts")?.get(0)?.as_str());
        if let Some(settings) = text.filter(|text| a1111::looks_like(text)).and_then(a1111::read) {
            return settings.by(Tool::A1111);
        }
    }
    let says = |name: &str, word: &str| {
        object.get(name).and_then(Value::as_str).is_some_and(|text| text.contains(word))
    };
    if says("software", "RuinedFooocus") {
        settings.by(Tool::RuinedFooocus)
    } else if object.contains_key("use_stable_diffusion_model")
        || object.contains_key("Stable Diffusion model")
    {
        settings.by(Tool::EasyDiffusion)
    } else if object.contains_key("base_model")
        || (object.contains_key("guidance_scale") && object.contains_key("performance"))
    {
        settings.by(Tool::Fooocus)
    } else if object.contains_key("num_inference_steps") {
        settings.by(Tool::Diffusers)
    } else if object.contains_key("guidance_scale") {
        settings.by(Tool::Fooocus)
    } else {
        settings
    }
}

pub(super) fn of_json(
    name: &str,
    text: &str,
    read: impl FnOnce(&Map<String, Value>) -> GenerationSettings,
) -> GenerationSettings {
    match json::parse(text) {
        Ok(Value::Object(object)) => read(&object).read_in(name),
        Ok(_) => GenerationSettings::only_note(format!("{name} is not a JSON object")),
        Err(error) => GenerationSettings::only_note(format!("{name} is broken JSON: {error}")),
    }
}
