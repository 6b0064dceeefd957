//! Model servers of the tests' own: vLLM, llama.cpp, Ollama and LM Studio, as their routes and
//! bodies are read in their sources, which can be made to fail. No model is in them: they answer as
//! they are told.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Vllm,
    Llama,
    Ollama,
    LmStudio,
}

/// What is wrong with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status, these headers, this body.
    Status(u16, Vec<(&'static str, &'static str)>, Value),
    /// Its body ends in the middle.
    Cut,
    /// A page.
    NotJson,
    /// It comes after so many milliseconds.
    Late(u64),
    /// The connection is closed without a word.
    Silent,
    /// This body, as it is.
    Raw(String),
}

/// A request that asks something.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub key: Option<String>,
    pub body: Value,
}

impl Asked {
    /// The text of the user's turn.
    pub fn text(&self) -> String {
        let content = &self.turn()["content"];
        let part = |part: &Value| part["text"].as_str().map(str::to_owned);
        match content.as_array() {
            Some(parts) => parts.iter().find_map(part).unwrap_or_default(),
            None => content.as_str().unwrap().to_owned(),
        }
    }

    fn turn(&self) -> &Value {
        self.body["messages"].as_array().unwrap().last().unwrap()
    }

    /// The bytes of its pictures.
    pub fn pictures(&self) -> Vec<Vec<u8>> {
        let turn = self.turn();
        let urls = turn["content"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|part| part["image_url"]["url"].as_str());
        let own = turn["images"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        urls.map(|url| decode(url.split_once(";base64,").unwrap().1))
            .chain(own.map(decode))
            .collect()
    }

    /// Whether it only counts the tokens of a text.
    pub fn counts(&self) -> bool {
        self.pictures().is_empty()
    }

    /// Whether it is the question by which a server is tried.
    pub fn tries(&self) -> bool {
        self.body["max_tokens"].as_u64().or(self.body["options"]["num_predict"].as_u64()) == Some(2)
    }
}

/// Probability of every token of an answer, which are its letters.
pub const LOG: f64 = -0.25;

#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a way in which servers differ
pub struct Settings {
    pub kind: Kind,
    /// The models that are there.
    pub models: Vec<String>,
    /// What every question for boxes is answered.
    pub answer: String,
    /// How an answer ends.
    pub finish: &'static str,
    /// What is thought before, kept apart.
    pub thought: Option<&'static str>,
    /// The first tokens of an answer and their probabilities, of which `logprobs` are taken.
    pub first: Vec<(&'static str, f64)>,
    /// vLLM: whether it was started with `--trust-request-mm-kwargs`.
    pub trusts: bool,
    /// Whether it takes a grammar.
    pub takes_grammar: bool,
    pub vision: bool,
    /// The key that it wants.
    pub key: Option<&'static str>,
    /// A server that repeats the key in what it says.
    pub repeats_key: bool,
    /// The weights.
    pub digest: &'static str,
    /// vLLM: tokens of a prompt and its answer.
    pub context: u64,
    /// The model sees nothing in a picture of more soft tokens.
    pub sees_at_most: u32,
    /// Takes no question without a picture, so that nobody knows how many of a prompt's tokens are
    /// of the picture.
    pub wants_pictures: bool,
    /// llama.cpp: ends at a picture of more tokens.
    pub micro_batch: Option<u32>,
}

impl Settings {
    pub fn of(kind: Kind) -> Self {
        let model = match kind {
            Kind::Vllm => "google/gemma-4-E2B-it",
            Kind::Llama => "/models/gemma-4-E2B-it-Q4_K_M.gguf",
            Kind::Ollama => "gemma4:e2b",
            Kind::LmStudio => "google/gemma-4-e2b",
        };
        Self {
            kind,
            models: vec![model.to_owned()],
            answer: "```json\n[\n  {\"box_2d\": [0, 0, 500, 500], \"label\": \"cat\"}\n]\n```"
                .to_owned(),
            finish: "stop",
            thought: None,
            first: vec![("good", 0.7), ("bad", 0.2), ("The", 0.09), ("x", 0.000_001)],
            trusts: true,
            takes_grammar: true,
            vision: true,
            key: None,
            repeats_key: false,
            digest: "sha256:aaaa",
            context: 4096,
            sees_at_most: u32::MAX,
            wants_pictures: false,
            micro_batch: None,
        }
    }
}

struct State {
    settings: Settings,
    faults: VecDeque<Fault>,
    /// Every answer to a question about a picture.
    always: Option<Fault>,
    asked: Vec<Asked>,
    streams: Vec<TcpStream>,
}

pub struct Mock {
    pub url: String,
    state: Arc<Mutex<State>>,
    down: Arc<AtomicBool>,
}

impl Mock {
    pub fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, settings)
    }

    /// One at the address of another, which is down.
    pub fn again(address: &str, settings: Settings) -> Self {
        let address = address.trim_start_matches("http://");
        for _ in 0..100 {
            match TcpListener::bind(address) {
                Ok(listener) => return Self::on(listener, settings),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("{address} is not free");
    }

    fn on(listener: TcpListener, settings: Settings) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            settings,
            faults: VecDeque::new(),
            always: None,
            asked: Vec::new(),
            streams: Vec::new(),
        };
        let (state, down) = (Arc::new(Mutex::new(state)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&down));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, stopped) = (Arc::clone(&shared), Arc::clone(&stopped));
                let copy = stream.try_clone().unwrap();
                shared.lock().unwrap_or_else(PoisonError::into_inner).streams.push(copy);
                thread::spawn(move || {
                    while serve(&stream, &shared, &stopped) {}
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { url, state, down }
    }

    /// Ends it: nobody listens any more.
    pub fn stop(&self) {
        self.down.store(true, Ordering::SeqCst);
        // The one that waits for a connection gets one.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        for stream in self.lock().streams.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// The next answers about pictures after the try are these.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// All answers about pictures after the try.
    pub fn always_fail(&self, fault: Fault) {
        self.lock().always = Some(fault);
    }

    /// What was asked so far about pictures, but for the try.
    pub fn asked(&self) -> Vec<Asked> {
        let all = self.all_asked();
        all.into_iter()
            .filter(|asked| {
                asked.body.get("messages").is_some() && !asked.tries() && !asked.counts()
            })
            .collect()
    }

    /// Everything that was asked so far, and is then forgotten.
    pub fn all_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a connection; whether there may be another one.
fn serve(stream: &TcpStream, state: &Mutex<State>, down: &AtomicBool) -> bool {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let of = |line: &String| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        lines[1..].iter().find_map(of)
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() || down.load(Ordering::SeqCst) {
        return false;
    }
    let path = lines[0].split(' ').nth(1).unwrap_or("/").to_owned();
    let body: Value =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let asked = Asked { path, key: header("authorization"), body };
    let mut locked = state.lock().unwrap_or_else(PoisonError::into_inner);
    let is_question = asked.body.get("messages").is_some() && !asked.counts() && !asked.tries();
    let fault = if is_question {
        locked.faults.pop_front().or_else(|| locked.always.clone())
    } else {
        None
    };
    let (status, answer) = locked.settings.answer_to(&asked);
    let aborts = is_question_too_large(&locked.settings, &asked);
    locked.asked.push(asked);
    drop(locked);
    if aborts {
        down.store(true, Ordering::SeqCst);
        return false;
    }
    let whole = answer.to_string();
    match fault {
        None => send(stream, status, &[], &whole, whole.len()),
        Some(Fault::Late(millis)) => {
            thread::sleep(Duration::from_millis(millis));
            send(stream, status, &[], &whole, whole.len());
        }
        Some(Fault::Status(status, headers, body)) => {
            let body = body.to_string();
            send(stream, status, &headers, &body, body.len());
        }
        Some(Fault::Cut) => {
            send(stream, status, &[], &whole, whole.len() / 2);
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return false;
        }
        Some(Fault::Raw(body)) => send(stream, 200, &[], &body, body.len()),
        Some(Fault::NotJson) => send(stream, 200, &[], "<html>Bad gateway</html>", 24),
        Some(Fault::Silent) => {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return false;
        }
    }
    true
}

fn send(mut stream: &TcpStream, status: u16, headers: &[(&str, &str)], body: &str, sent: usize) {
    let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    // Who asked may be gone.
    let _ = stream.write_all((head + "\r\n").as_bytes());
    let _ = stream.write_all(&body.as_bytes()[..sent]);
}

fn soft_tokens(picture: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(picture).unwrap();
    (picture.width(), picture.height())
}

fn is_question_too_large(settings: &Settings, asked: &Asked) -> bool {
    let most = settings.micro_batch.unwrap_or(u32::MAX);
    asked.body.get("messages").is_some()
        && asked.pictures().iter().any(|picture| {
            let (width, height) = soft_tokens(picture);
            width / 48 * (height / 48) > most
        })
}

/// A token for each letter of the alphabet, and one for each word that is rated by.
fn id_of(text: &str) -> u32 {
    text.bytes().fold(7, |id, byte| (id * 31 + u32::from(byte)) % 100_000)
}

impl Settings {
    fn answer_to(&self, asked: &Asked) -> (u16, Value) {
        if let Some(key) = self.key
            && asked.key.as_deref() != Some(&format!("Bearer {key}"))
            && asked.path != "/props"
        {
            let said = if self.repeats_key {
                asked.key.clone().unwrap_or_default()
            } else {
                String::new()
            };
            return (
                401,
                json!({"error": {"message": format!("invalid key {said}"), "code": 401}}),
            );
        }
        let no_route = match self.kind {
            Kind::Vllm => (404, json!({"detail": "Not Found"})),
            Kind::Llama => (
                404,
                json!({"error": {"code": 404, "message": "File Not Found",
                    "type": "not_found_error"}}),
            ),
            Kind::Ollama => (404, json!("404 page not found")),
            // It answers 200 to what it does not know.
            Kind::LmStudio => (200, json!({"error": "Unexpected endpoint or method."})),
        };
        let models = |entry: &dyn Fn(&String) -> Value| {
            json!({"object": "list",
            "data": self.models.iter().map(entry).collect::<Vec<_>>()})
        };
        match (self.kind, asked.path.as_str()) {
            (Kind::Vllm, "/version") => (200, json!({"version": "0.33.0"})),
            (Kind::Vllm, "/v1/models") => (
                200,
                models(&|name| {
                    json!({"id": name, "object": "model", "owned_by": "vllm",
                        "max_model_len": self.context})
                }),
            ),
            (Kind::Vllm, "/tokenize") => (
                200,
                json!({"count": 1, "tokens": [id_of(asked.body["prompt"].as_str().unwrap())]}),
            ),
            (Kind::Vllm, "/detokenize") => {
                let text = Self::text_of(&asked.body);
                (200, json!({"prompt": text}))
            }
            (Kind::Llama, "/props") => (
                200,
                json!({
                    "default_generation_settings": {}, "total_slots": 2,
                        "model_path": self.models[0],
                    "modalities": {"vision": self.vision, "audio": false},
                        "build_info": "b10488-abc",
                }),
            ),
            (Kind::Llama, "/v1/models") => (
                200,
                models(&|name| {
                    json!({"id": name, "owned_by": "llamacpp",
                        "meta": {"n_params": 4_600_000_000_u64, "size": 3_000_000_000_u64}})
                }),
            ),
            (Kind::Llama, "/tokenize") => {
                (200, json!({"tokens": [id_of(asked.body["content"].as_str().unwrap())]}))
            }
            (Kind::Llama, "/detokenize") => {
                let text = Self::text_of(&asked.body);
                (200, json!({"content": text}))
            }
            (Kind::Ollama, "/api/version") => (200, json!({"version": "0.15.0"})),
            (Kind::Ollama, "/api/tags") => {
                let entry =
                    |name: &String| json!({"name": name, "model": name, "digest": self.digest});
                (200, json!({"models": self.models.iter().map(entry).collect::<Vec<_>>()}))
            }
            (Kind::Ollama, "/api/show") => {
                let all = if self.vision {
                    json!(["completion", "vision"])
                } else {
                    json!(["completion"])
                };
                (200, json!({"details": {"family": "gemma4"}, "capabilities": all}))
            }
            (Kind::Ollama, "/v1/models") => {
                (200, models(&|name| json!({"id": name, "owned_by": "library"})))
            }
            (Kind::LmStudio, "/v1/models") => {
                (200, models(&|name| json!({"id": name, "owned_by": "organization_owner"})))
            }
            (Kind::Ollama, "/api/chat") => self.ollama(asked),
            (Kind::Vllm | Kind::Llama | Kind::LmStudio, "/v1/chat/completions") => {
                self.openai(asked)
            }
            _ => no_route,
        }
    }

    /// Text of a word that was asked for before: the words of the tests are all that there is.
    fn text_of(body: &Value) -> String {
        let id = body["tokens"][0].as_u64().unwrap() as u32;
        let words = ["good", "bad", "Good", "Bad", " good", " bad", " Good", " Bad"];
        words
            .iter()
            .find(|word| id_of(word) == id)
            .map_or_else(String::new, |word| (*word).to_owned())
    }

    /// What is wrong with a body, as this server sees it.
    fn refuses(&self, asked: &Asked) -> Option<Value> {
        let body = &asked.body;
        let refused = |message: &str| {
            Some(json!({"error": {"message": message, "type": "BadRequestError", "code": 400}}))
        };
        if !self.models.contains(&body["model"].as_str().unwrap().to_owned()) {
            return refused("no such model");
        }
        if self.wants_pictures && asked.counts() {
            return refused("a picture is needed");
        }
        if self.kind == Kind::Vllm && body["max_tokens"].as_u64().unwrap() > self.context {
            return refused(
                "max_tokens=2048 cannot be greater than max_model_len=1024. Please request fewer \
                 output tokens.",
            );
        }
        if self.kind == Kind::Vllm && !self.trusts && body.get("mm_processor_kwargs").is_some() {
            return refused(
                "Per-request mm_processor_kwargs are not allowed: start with \
                 --trust-request-mm-kwargs",
            );
        }
        if !self.takes_grammar
            && (body["structured_outputs"].get("grammar").is_some()
                || body.get("grammar").is_some())
        {
            return refused("Failed to convert the grammar from GBNF to Lark");
        }
        if self.kind == Kind::Llama
            && body.get("grammar").is_some()
            && body.get("json_schema").is_some()
        {
            return refused("Either \"json_schema\" or \"grammar\" can be specified, but not both");
        }
        if body["chat_template_kwargs"]
            .get("enable_thinking")
            .is_some_and(|value| !value.is_boolean())
        {
            return refused("invalid type for \"enable_thinking\" (expected boolean, got string)");
        }
        None
    }

    /// Soft tokens of a picture, by this server's own rule.
    fn soft_tokens(&self, asked: &Asked, picture: &[u8]) -> u32 {
        let (width, height) = soft_tokens(picture);
        let tokens = (width / 48) * (height / 48);
        match self.kind {
            Kind::Vllm => {
                let most = asked.body["mm_processor_kwargs"]["max_soft_tokens"]
                    .as_u64()
                    .unwrap_or(280) as u32;
                tokens.min(most)
            }
            // It is enlarged to so many at least.
            Kind::Llama => tokens.max(70),
            _ => tokens,
        }
    }

    fn prompt_tokens(&self, asked: &Asked) -> usize {
        let image = |picture: &Vec<u8>| self.soft_tokens(asked, picture) as usize + 2;
        10 + asked.text().len() / 4 + asked.pictures().iter().map(image).sum::<usize>()
    }

    /// Text and tokens of the answer to a question.
    fn said(&self, asked: &Asked, most: u64) -> (String, &'static str, Vec<Value>) {
        let rates = asked.text().contains("one word") || most == 1;
        if rates && !asked.counts() {
            return (self.first[0].0.to_owned(), "length", vec![self.first_token(asked)]);
        }
        let blind = asked
            .pictures()
            .iter()
            .any(|picture| self.soft_tokens(asked, picture) > self.sees_at_most);
        let answer = if blind { "[]" } else { &self.answer };
        let text: String = answer.chars().take(if most <= 2 { 2 } else { usize::MAX }).collect();
        let finish = if most <= 2 { "length" } else { self.finish };
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let token = |letter: &String| {
            let entry = json!({"token": letter, "logprob": LOG, "bytes": letter.as_bytes()});
            let mut whole = entry.clone();
            whole["top_logprobs"] = json!([entry]);
            if self.kind == Kind::Llama {
                whole["id"] = json!(id_of(letter));
            }
            whole
        };
        (text, finish, letters.iter().map(token).collect())
    }

    fn first_token(&self, asked: &Asked) -> Value {
        let as_ids = asked.body["return_tokens_as_token_ids"] == true;
        let wanted: Option<Vec<u64>> = asked.body["logprob_token_ids"]
            .as_array()
            .map(|ids| ids.iter().map(|id| id.as_u64().unwrap()).collect());
        let entry = |(token, probability): (&str, f64)| {
            let shown =
                if as_ids { format!("token_id:{}", id_of(token)) } else { token.to_owned() };
            let mut entry =
                json!({"token": shown, "logprob": probability.ln(), "bytes": shown.as_bytes()});
            if self.kind == Kind::Llama {
                entry["id"] = json!(id_of(token));
            }
            entry
        };
        let mut whole = entry(self.first[0]);
        let mut top: Vec<Value> = match &wanted {
            None => self.first.iter().map(|token| entry(*token)).collect(),
            Some(ids) => {
                let listed =
                    self.first.iter().filter(|(token, _)| ids.contains(&u64::from(id_of(token))));
                listed.map(|token| entry(*token)).collect()
            }
        };
        // Those that are asked for by id all come, however unlikely.
        for id in wanted.iter().flatten() {
            if !self.first.iter().any(|(token, _)| u64::from(id_of(token)) == *id) {
                top.push(json!({"token": format!("token_id:{id}"), "logprob": -16.0, "bytes": []}));
            }
        }
        let most = asked.body["top_logprobs"].as_u64().unwrap() as usize;
        if wanted.is_none() {
            top.truncate(most);
        }
        whole["top_logprobs"] = json!(top);
        whole
    }

    fn openai(&self, asked: &Asked) -> (u16, Value) {
        if let Some(refusal) = self.refuses(asked) {
            return (400, refusal);
        }
        let (text, finish, tokens) = self.said(asked, asked.body["max_tokens"].as_u64().unwrap());
        let count = tokens.len();
        let wanted = asked.body["logprobs"] == true && self.kind != Kind::LmStudio;
        let logprobs = if wanted { json!({"content": tokens}) } else { Value::Null };
        let mut message = json!({"role": "assistant", "content": text});
        if let Some(thought) = self.thought {
            let key = if self.kind == Kind::Vllm { "reasoning" } else { "reasoning_content" };
            message[key] = json!(thought);
        }
        let prompt = self.prompt_tokens(asked);
        (
            200,
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "model": asked.body["model"],
                "system_fingerprint": if self.kind == Kind::Llama { json!("b10488-abc") } else {
                    Value::Null },
                "choices": [{"index": 0, "message": message, "logprobs": logprobs,
                    "finish_reason": finish}],
                "usage": {"prompt_tokens": prompt, "completion_tokens": count,
                    "total_tokens": prompt + count},
            }),
        )
    }

    fn ollama(&self, asked: &Asked) -> (u16, Value) {
        if !self.models.contains(&asked.body["model"].as_str().unwrap().to_owned()) {
            return (404, json!({"error": "model 'x' not found"}));
        }
        let (text, finish, tokens) =
            self.said(asked, asked.body["options"]["num_predict"].as_u64().unwrap());
        let mut body = json!({
            "model": asked.body["model"], "created_at": "2026-11-27T10:00:00Z", "done": true,
                "done_reason": finish,
            "message": {"role": "assistant", "content": text},
                "prompt_eval_count": self.prompt_tokens(asked),
            "eval_count": tokens.len(),
        });
        if asked.body["logprobs"] == true {
            body["logprobs"] = json!(tokens);
        }
        if let Some(thought) = self.thought {
            body["message"]["thinking"] = json!(thought);
        }
        (200, body)
    }
}
