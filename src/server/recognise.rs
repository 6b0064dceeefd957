//! Recognises a server, and the model on it.
//!
//! In: its address. Out: its kind by the routes that only this kind has, its version, the model and
//! what it says of its weights. Promises: a name that is not there is an error that lists those
//! that are; a model that takes no pictures is found before the first one is sent.

use serde_json::{Map, Value, json};

use super::client::MODELS;
use super::{Server, ServerError, ServerKind, ServerOptions};

/// The kind of a server.
struct Recognised {
    kind: ServerKind,
    model: String,
    weights: Vec<(&'static str, String)>,
    version: Option<String>,
    slots: Option<usize>,
    context: Option<usize>,
}

impl Server {
    /// The server of `options`: what it is, and which model is asked. With `offline`, only one on
    /// this machine. `say` gets a sentence for the user if there is something to wait for.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn open(
        options: &ServerOptions,
        offline: bool,
        say: &dyn Fn(&str),
    ) -> Result<Self, ServerError> {
        let mut server = Self::unknown(options, offline)?;
        let Recognised { kind, model, weights, version, slots, context } =
            recognise(&server, options, say)?;
        (server.kind, server.model, server.weights) = (kind, model, weights);
        (server.version, server.slots, server.context) = (version, slots, context);
        Ok(server)
    }
}

type Object = Map<String, Value>;

fn text(object: &Object, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn recognise(
    server: &Server,
    options: &ServerOptions,
    say: &dyn Fn(&str),
) -> Result<Recognised, ServerError> {
    let get = |route: &str| server.get(route, say);
    let props = get("/props")?.filter(|object| object.contains_key("default_generation_settings"));
    let ollama = if props.is_some() {
        None
    } else {
        get("/api/version")?.and_then(|found| text(&found, "version"))
    };
    let models = get(MODELS)?;
    let listed: Vec<&Object> = models
        .as_ref()
        .and_then(|models| models.get("data"))
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_object).collect());
    let owned_by =
        |owner: &str| listed.iter().any(|model| text(model, "owned_by").as_deref() == Some(owner));
    let vllm = if ollama.is_none() && props.is_none() {
        get("/version")?.and_then(|found| text(&found, "version"))
    } else {
        None
    };
    let found = if props.is_some() || owned_by("llamacpp") {
        ServerKind::Llama
    } else if ollama.is_some() {
        ServerKind::Ollama
    } else if owned_by("vllm") || vllm.is_some() {
        ServerKind::Vllm
    } else {
        ServerKind::OpenAi
    };
    let kind = match options.kind {
        // Its /v1 makes two turns of a picture and its question.
        Some(asked) if found == ServerKind::Ollama && asked != found => {
            return Err(ServerError::OtherKind { asked: asked.name(), found: found.name() });
        }
        asked => asked.unwrap_or(found),
    };
    if kind == ServerKind::Ollama {
        return of_ollama(server, options, ollama);
    }
    if models.is_none() && options.model.is_none() {
        let reason = "it has no list of models".to_owned();
        return Err(ServerError::NoServer { url: server.address().to_owned(), reason });
    }
    let names: Vec<String> = listed.iter().filter_map(|model| text(model, "id")).collect();
    let model = choose(options.model.as_deref(), &names, models.is_some(), str::eq)?;
    let entry = listed.iter().find(|entry| text(entry, "id").as_deref() == Some(&model));
    let context = entry.and_then(|entry| entry.get("max_model_len")).and_then(Value::as_u64);
    let context = context.and_then(|context| usize::try_from(context).ok());
    let mut recognised =
        Recognised { kind, weights: Vec::new(), version: vllm, slots: None, context, model };
    if kind == ServerKind::Llama {
        of_llama(&mut recognised, props.as_ref(), entry.copied())?;
    } else {
        recognised.weights.push(("server model", recognised.model.clone()));
    }
    Ok(recognised)
}

/// The model that is named, else the only one.
fn choose(
    asked: Option<&str>,
    names: &[String],
    is_whole: bool,
    same: impl Fn(&str, &str) -> bool,
) -> Result<String, ServerError> {
    match (asked, names) {
        (Some(asked), names) => match names.iter().find(|name| same(name, asked)) {
            Some(name) => Ok(name.clone()),
            None if is_whole => {
                Err(ServerError::NoModel { asked: asked.to_owned(), there: names.to_vec() })
            }
            None => Ok(asked.to_owned()),
        },
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(ServerError::NoModel { asked: String::new(), there: Vec::new() }),
        (None, several) => Err(ServerError::SeveralModels { there: several.to_vec() }),
    }
}

fn of_llama(
    recognised: &mut Recognised,
    props: Option<&Object>,
    entry: Option<&Object>,
) -> Result<(), ServerError> {
    // Its name is the path of the file, unless it was given another one: the folder is no part of
    // the model.
    let name = recognised.model.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    recognised.weights.push(("server model", name));
    let meta = entry.and_then(|entry| entry.get("meta")).and_then(Value::as_object);
    for key in ["n_params", "size", "n_vocab"] {
        if let Some(value) = meta.and_then(|meta| meta.get(key)).filter(|value| value.is_number()) {
            recognised.weights.push((key, value.to_string()));
        }
    }
    let Some(props) = props else { return Ok(()) };
    recognised.version = text(props, "build_info");
    recognised.slots = props
        .get("total_slots")
        .and_then(Value::as_u64)
        .and_then(|slots| usize::try_from(slots).ok());
    let vision = props
        .get("modalities")
        .and_then(|modalities| modalities.get("vision"))
        .and_then(Value::as_bool);
    if vision == Some(false) {
        let hint = ": llama-server is started with --mmproj FILE as well";
        return Err(ServerError::Blind { model: recognised.model.clone(), hint });
    }
    Ok(())
}

fn of_ollama(
    server: &Server,
    options: &ServerOptions,
    version: Option<String>,
) -> Result<Recognised, ServerError> {
    let tags = server.get("/api/tags", &|_| ())?.unwrap_or_default();
    let models: Vec<&Object> = tags
        .get("models")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_object).collect());
    let names: Vec<String> = models.iter().filter_map(|model| text(model, "name")).collect();
    let same =
        |name: &str, asked: &str| name == asked || name.strip_suffix(":latest") == Some(asked);
    let model = choose(options.model.as_deref(), &names, true, same)?;
    let mut weights = vec![("server model", model.clone())];
    if let Some(entry) = models.iter().find(|entry| text(entry, "name").as_deref() == Some(&model))
    {
        weights.extend(text(entry, "digest").map(|digest| ("digest", digest)));
    }
    let shown = server.send("/api/show", &json!({"model": model}), &|| false).unwrap_or_default();
    let capabilities = shown.get("capabilities").and_then(Value::as_array);
    if capabilities.is_some_and(|all| !all.iter().any(|one| one == "vision")) {
        return Err(ServerError::Blind { model, hint: "" });
    }
    Ok(Recognised { kind: ServerKind::Ollama, model, weights, version, slots: None, context: None })
}
