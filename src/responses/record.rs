//! From responses to records.
//!
//! In: a text of responses, the images' folder, the requests. Out: the responses about each image,
//! in the order of their first lines, with the image's size; and of these a record. Promises: an
//! image's size is its file's, or the one that all its lines state; of several answers to one
//! question exactly one counts, and the record notes the others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead};

use rayon::prelude::*;

use super::body::Outcome;
use super::documents::Documents;
use super::images::{ImageFile, ImageFolder, path_in_name};
use super::requests::Requests;
use super::response::{Assembler, Response};
use super::{Problem, tokens::Tokens};
use crate::answer::{self, Reading, ScaleEvidence, TokenSpan};
use crate::record::{
    Answer, AnswerKind, AnswerStatus, BBox, CoordinateOrder, Ended, Note, NoteKind, Record, Rules,
};
use crate::source::{Locator, Place};

/// The contents of a text of responses.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the order of their first lines.
    pub images: Vec<ImageResponses>,
    /// Lines that cannot be used, in their order, counted from 1.
    pub problems: Vec<(usize, Problem)>,
    /// The models that the responses name.
    pub models: BTreeSet<String>,
    /// Responses with several choices; only the first one counts.
    pub several_choices: usize,
    /// Answers with token probabilities that do not add up to their text, or are of after sampling:
    /// their boxes have no scores.
    pub unmatched_tokens: usize,
    /// Images that EXIF turns.
    pub turned_by_exif: usize,
    /// Requests that no response belongs to, by their `custom_id`: failed questions about their
    /// images, if these are known.
    pub unanswered: Vec<String>,
}

/// All responses about one image.
#[derive(Debug)]
pub struct ImageResponses {
    /// Its name in a run.
    pub image: String,
    /// Width and height of the upright image; `None` if no response has an answer.
    pub size: Option<(u32, u32)>,
    place: Option<Place>,
    /// Facts from its file, or the reason why that is no image.
    file: Option<Result<ImageFile, String>>,
    responses: Vec<About>,
}

/// One response about an image.
#[derive(Debug)]
struct About {
    line: usize,
    question: Question,
    /// The user's description of the question.
    kind: Option<AnswerKind>,
    stated: Option<(u32, u32)>,
    outcome: Outcome,
    spans: Vec<TokenSpan>,
}

/// The user's description of all questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The kind of answer; otherwise each question decides, and boxes are assumed if it is not
    /// known.
    pub answer: Option<AnswerKind>,
    /// The label of a box without one.
    pub default_label: Option<String>,
}

/// Identifies questions about an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
    Text(String),
    CustomId(String),
    Unknown,
}

impl Question {
    fn of(text: Option<String>, custom_id: Option<String>) -> Self {
        match (text, custom_id) {
            (Some(text), _) => Self::Text(text),
            (None, Some(custom_id)) => Self::CustomId(custom_id),
            (None, None) => Self::Unknown,
        }
    }
}

/// Reads all responses of a text about the images in `folder`, or about images that only their
/// names are known of.
///
/// # Errors
/// Errors of the reader. A line that cannot be used is a [`Problem`] instead.
pub fn collect(
    reader: impl BufRead,
    folder: Option<&ImageFolder>,
    requests: Option<&Requests>,
) -> io::Result<Collected> {
    let mut collector = Collector::new(folder, requests);
    let mut assembler = Assembler::default();
    for document in Documents::new(reader)? {
        let document = document?;
        match document.object.and_then(|object| assembler.take(document.line, &object)) {
            Ok(None) => {}
            Ok(Some((line, response))) => collector.add(line, response),
            Err(problem) => collector.collected.problems.push((document.line, problem)),
        }
    }
    for (line, response) in assembler.finish() {
        collector.add(line, response);
    }
    Ok(collector.finish())
}

struct Collector<'c> {
    folder: Option<(&'c ImageFolder, Locator<'c>)>,
    requests: Option<&'c Requests>,
    /// The index among the images of each name as given.
    known: HashMap<String, Result<usize, Problem>>,
    /// The index of each name in a run.
    places: HashMap<String, usize>,
    /// The `custom_id` of every response, if there are requests.
    answered: HashSet<String>,
    collected: Collected,
}

impl<'c> Collector<'c> {
    fn new(folder: Option<&'c ImageFolder>, requests: Option<&'c Requests>) -> Self {
        let folder = folder.map(|folder| (folder, folder.locator()));
        Self {
            folder,
            requests,
            known: HashMap::new(),
            places: HashMap::new(),
            answered: HashSet::new(),
            collected: Collected::default(),
        }
    }

    fn add(&mut self, line: usize, response: Response) {
        let request = self
            .requests
            .zip(response.custom_id.as_ref())
            .and_then(|(requests, id)| requests.get(id));
        if request.is_some() {
            self.answered.extend(response.custom_id.clone());
        }
        let asked = request.and_then(|request| request.image.as_ref());
        let Some(given) = response.image.as_ref().or(asked).or(response.custom_id.as_ref()) else {
            self.collected.problems.push((line, Problem::NoImage));
            return;
        };
        let place = match self.place(given) {
            Ok(place) => place,
            Err(problem) => {
                self.collected.problems.push((line, problem));
                return;
            }
        };
        let rendered = response.question.is_some() && response.rendered;
        let text =
            response.question.or_else(|| request.and_then(|request| request.question.clone()));
        let kind = text.as_deref().filter(|_| !rendered).map(AnswerKind::of_question);
        let question = Question::of(text, response.custom_id);
        let spans = self.spans(&response.outcome, &response.tokens);
        self.collected.several_choices += usize::from(response.choices > 1);
        self.collected.models.extend(response.model);
        let about =
            About { line, question, kind, stated: response.size, outcome: response.outcome, spans };
        self.collected.images[place].responses.push(about);
    }

    fn spans(&mut self, outcome: &Outcome, tokens: &Tokens) -> Vec<TokenSpan> {
        let Outcome::Answer { text, .. } = outcome else { return Vec::new() };
        let spans = tokens.spans(text);
        self.collected.unmatched_tokens += usize::from(spans.is_none());
        spans.unwrap_or_default()
    }

    /// The place among the images of the one that is called `given`.
    fn place(&mut self, given: &str) -> Result<usize, Problem> {
        if let Some(known) = self.known.get(given) {
            return known.clone();
        }
        let found = self.find(&path_in_name(given)).map(|(image, place)| {
            *self.places.entry(image.clone()).or_insert_with(|| {
                let images = &mut self.collected.images;
                images.push(ImageResponses {
                    image,
                    size: None,
                    place,
                    file: None,
                    responses: Vec::new(),
                });
                images.len() - 1
            })
        });
        self.known.insert(given.to_owned(), found.clone());
        found
    }

    fn find(&self, given: &str) -> Result<(String, Option<Place>), Problem> {
        if let Some((folder, locator)) = &self.folder {
            return folder.find(given, locator).map(|(image, place)| (image, Some(place)));
        }
        Ok((given.to_owned(), None))
    }

    /// Takes the requests that have no response as failed ones.
    fn add_unanswered(&mut self) {
        let Some(requests) = self.requests else { return };
        for (custom_id, request) in requests.iter() {
            if self.answered.contains(custom_id) {
                continue;
            }
            self.collected.unanswered.push(custom_id.to_owned());
            if let Ok(place) = self.place(request.image.as_deref().unwrap_or(custom_id)) {
                self.collected.images[place].responses.push(About {
                    line: 0,
                    question: Question::of(request.question.clone(), Some(custom_id.to_owned())),
                    kind: None,
                    stated: None,
                    outcome: Outcome::Failed("there is no response to the request".to_owned()),
                    spans: Vec::new(),
                });
            }
        }
    }

    /// Looks at the images, and holds what was stated against them.
    fn finish(mut self) -> Collected {
        self.add_unanswered();
        let Self { folder, mut collected, .. } = self;
        if let Some((folder, _)) = folder {
            let look = |image: &mut ImageResponses| {
                image.file = image.place.as_ref().map(|place| folder.look(place));
            };
            collected.images.par_iter_mut().for_each(look);
        }
        for image in &mut collected.images {
            image.settle_size(&mut collected.problems);
            let turned = |file: &ImageFile| file.orientation != 1;
            collected.turned_by_exif += usize::from(image.file.iter().flatten().any(turned));
        }
        collected.images.retain(|image| !image.responses.is_empty());
        collected.problems.sort_by_key(|(line, _)| *line);
        collected
    }
}

impl ImageResponses {
    /// Decides the size of the image; a response that contradicts it is a problem, or one without a
    /// size if nothing else tells it.
    fn settle_size(&mut self, problems: &mut Vec<(usize, Problem)>) {
        if let Some(Err(_)) = self.file {
            return; // its record says why
        }
        let file = self.file.as_ref().and_then(|file| file.as_ref().ok());
        let first =
            self.responses.iter().find_map(|about| about.stated.map(|stated| (stated, about.line)));
        self.size = file.map(|file| file.size).or(first.map(|(stated, _)| stated));
        let image = &self.image;
        let size = self.size;
        self.responses.retain(|about| {
            let problem = match (about.stated, size, file, first) {
                (Some(stated), Some(found), Some(file), _) if stated != found => {
                    let turned = stated == file.stored;
                    Problem::OtherSize { image: image.clone(), stated, found, turned }
                }
                (Some(stated), Some(_), None, Some((earlier, line))) if stated != earlier => {
                    Problem::TwoSizes { image: image.clone(), stated, earlier, line }
                }
                (_, None, ..) if matches!(about.outcome, Outcome::Answer { .. }) => {
                    Problem::NoSize { image: image.clone() }
                }
                _ => return true,
            };
            problems.push((about.line, problem));
            false
        });
    }

    /// Adds what the boxes of the answers that count say about their scale; text has none.
    pub fn weigh(&self, evidence: &mut ScaleEvidence, order: CoordinateOrder, asked: &Asked) {
        let Some((width, height)) = self.size else { return };
        for about in
            counting(&self.responses, asked.answer).into_iter().map(|place| &self.responses[place])
        {
            if about.kind(asked.answer) == AnswerKind::Text {
                continue;
            }
            if let Outcome::Answer { text, ended } = &about.outcome {
                evidence.add(&answer::parse(text, *ended).boxes, order, width, height);
            }
        }
    }

    /// The record of the image.
    pub fn record(self, asked: &Asked, rules: &Rules) -> Record {
        let mut record = Record::failed(self.image, String::new());
        let mut fault = None;
        match self.file {
            Some(Ok(file)) => {
                (record.sha256, record.orientation) = (Some(file.sha256), file.orientation);
                record.capture = file.capture;
            }
            Some(Err(reason)) => fault = Some(reason),
            None => {}
        }
        (record.width, record.height) = self.size.unwrap_or_default();
        let (counted, passed_over) = counted(self.responses, asked.answer);
        let questions = counted.len();
        let view = BBox::whole(record.width, record.height);
        let (mut readings, mut failures) = (Vec::new(), Vec::new());
        for about in counted {
            let kind = about.kind(asked.answer);
            let prompt = match about.question {
                Question::Text(text) => text,
                Question::CustomId(_) | Question::Unknown => String::new(),
            };
            match about.outcome {
                Outcome::Answer { text, ended } => readings.push(Reading {
                    answer: Answer { view, prompt, text, ended, tokens: None },
                    kind,
                    default_label: asked.default_label.clone(),
                    spans: about.spans,
                    sentences: Vec::new(),
                }),
                Outcome::Failed(reason) => failures.push(reason),
            }
        }
        if let Some(fault) = fault {
            record.reason = Some(fault);
            record.answers = readings.into_iter().map(|reading| reading.answer).collect();
            return record;
        }
        if !readings.is_empty() {
            answer::read_into(&mut record, readings, rules);
        }
        if let Some(reason) = failures.first() {
            record.status = if record.detections.is_empty() {
                AnswerStatus::Failed
            } else {
                AnswerStatus::Salvaged
            };
            record.reason = Some(match questions {
                1 => reason.clone(),
                questions => format!(
                    "{} of {questions} questions without an answer: {reason}",
                    failures.len()
                ),
            });
        }
        if passed_over > 0 {
            record.notes.push(Note::new(NoteKind::AnswerReplaced, passed_over));
        }
        record
    }
}

/// The responses that count of each question, in the order of the questions' first lines; and how
/// many do not.
fn counted(responses: Vec<About>, answer: Option<AnswerKind>) -> (Vec<About>, usize) {
    let counting = counting(&responses, answer);
    let passed_over = responses.len() - counting.len();
    let mut responses: Vec<Option<About>> = responses.into_iter().map(Some).collect();
    (counting.into_iter().filter_map(|place| responses[place].take()).collect(), passed_over)
}

/// The places of the responses that count.
fn counting(responses: &[About], answer: Option<AnswerKind>) -> Vec<usize> {
    let mut places: HashMap<&Question, usize> = HashMap::new();
    let mut counting: Vec<(usize, Option<u8>)> = Vec::new();
    for (index, about) in responses.iter().enumerate() {
        let place = *places.entry(&about.question).or_insert(counting.len());
        let Some((there, rank)) = counting.get_mut(place) else {
            counting.push((index, None));
            continue;
        };
        let known = *rank.get_or_insert_with(|| responses[*there].wholeness(answer));
        let new = about.wholeness(answer);
        if new >= known {
            (*there, *rank) = (index, Some(new));
        }
    }
    counting.into_iter().map(|(index, _)| index).collect()
}

impl About {
    /// The kind of answer, unless `answer` sets it for all. If only the words of the question ask
    /// for text, but the answer is JSON with boxes and nothing else, it was boxes.
    fn kind(&self, answer: Option<AnswerKind>) -> AnswerKind {
        match (answer, self.kind, &self.outcome) {
            (Some(kind), ..) => kind,
            (None, Some(AnswerKind::Text), Outcome::Answer { text, ended })
                if answer::is_json_of_boxes(text, *ended) =>
            {
                AnswerKind::Boxes
            }
            (None, kind, _) => kind.unwrap_or_default(),
        }
    }

    /// How much of an answer is there; [the module](super) says what is better.
    fn wholeness(&self, answer: Option<AnswerKind>) -> u8 {
        let Outcome::Answer { text, ended } = &self.outcome else { return 0 };
        let status = match (self.kind(answer), ended) {
            (AnswerKind::Text, Ended::TokenLimit) => AnswerStatus::Truncated,
            (AnswerKind::Text, Ended::Looped) => AnswerStatus::Looped,
            (AnswerKind::Text, _) if !answer::plain_text(text).trim().is_empty() => {
                AnswerStatus::Text
            }
            _ => answer::parse(text, *ended).status,
        };
        match status {
            AnswerStatus::Ok | AnswerStatus::Empty | AnswerStatus::Text => 4,
            AnswerStatus::Salvaged => 3,
            AnswerStatus::Truncated | AnswerStatus::Looped => 2,
            AnswerStatus::Refused | AnswerStatus::Failed => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::CoordinateScale;

    const BOX: &str = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}]"#;
    const CUT: &str = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}, {"box_2d": [1"#;

    fn records(
        lines: &[Value],
        folder: Option<&ImageFolder>,
        requests: Option<&Requests>,
    ) -> (Vec<Record>, Vec<String>) {
        let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let collected = collect(text.as_bytes(), folder, requests).unwrap();
        let problems =
            collected.problems.iter().map(|(line, problem)| format!("{line}: {problem}")).collect();
        let record = |image: ImageResponses| image.record(&Asked::default(), &Rules::default());
        (collected.images.into_iter().map(record).collect(), problems)
    }

    fn own(image: &str, question: Option<&str>, text: &str) -> Value {
        let mut line = json!({"image": image, "width": 100, "height": 100, "text": text});
        if let Some(question) = question {
            line["question"] = question.into();
        }
        line
    }

    #[test]
    fn questions_join_and_repeats_replace() {
        let dog = BOX.replace("cat", "dog");
        let lines = [
            own("b.png", Some("detect cat"), BOX),
            own("a.png", None, CUT),
            own("b.png", Some("detect dog"), &dog),
            own("a.png", None, BOX),
            own("b.png", Some("detect cat"), CUT),
            own("a.png", None, "Sorry."),
        ];
        let (records, problems) = records(&lines, None, None);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            records.iter().map(|record| record.image.as_str()).collect::<Vec<_>>(),
            ["b.png", "a.png"]
        );
        let labels = |record: &Record| {
            record.detections.iter().map(|one| one.label.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            (records[0].status, labels(&records[0])),
            (AnswerStatus::Ok, vec!["cat".to_owned(), "dog".to_owned()])
        );
        assert_eq!(records[0].notes, [Note::new(NoteKind::AnswerReplaced, 1)]);
        assert_eq!(records[0].answers[1].prompt, "detect dog");
        assert_eq!(
            (records[1].status, labels(&records[1])),
            (AnswerStatus::Ok, vec!["cat".to_owned()])
        );
        assert_eq!(records[1].notes, [Note::new(NoteKind::AnswerReplaced, 2)]);
    }

    #[test]
    fn a_question_for_words_is_answered_by_words() {
        let words = "A cat, asleep.";
        let caption = own("a.png", Some("Describe this."), words);
        let (one, _) =
            records(&[caption.clone(), own("a.png", Some("Describe this."), "")], None, None);
        assert_eq!((one[0].status, one[0].answers[0].text.as_str()), (AnswerStatus::Text, words));
        let (both, _) = records(&[caption, own("a.png", Some("detect cat"), BOX)], None, None);
        assert_eq!((both[0].status, both[0].detections.len()), (AnswerStatus::Ok, 1));
        // A prompt that a server repeats with its turns does not say it, and nor does nothing.
        let rendered = json!({"image": "a.png", "width": 9, "height": 9, "content": words, "prompt": "<|turn>user\n\
            describe<turn|>"});
        for line in [rendered, own("a.png", None, words)] {
            assert_eq!(records(&[line], None, None).0[0].status, AnswerStatus::Refused);
        }
    }

    #[test]
    fn a_failed_question_is_no_clean_answer() {
        let failed = |question: &str| {
            json!({"image": "a.png", "question": question,
            "error": {"message": "timeout"}})
        };
        let (one, _) = records(&[failed("detect cat")], None, None);
        assert_eq!(
            (one[0].status, one[0].reason.as_deref()),
            (AnswerStatus::Failed, Some("timeout"))
        );
        let (two, _) =
            records(&[failed("detect dog"), own("a.png", Some("detect cat"), BOX)], None, None);
        assert_eq!((two[0].status, two[0].detections.len()), (AnswerStatus::Salvaged, 1));
        assert_eq!(two[0].reason.as_deref(), Some("1 of 2 questions without an answer: timeout"));
        let (two, _) =
            records(&[own("a.png", Some("detect cat"), "[]"), failed("detect dog")], None, None);
        assert_eq!((two[0].status, two[0].width), (AnswerStatus::Failed, 100));
        // An answer that came at the second try is one.
        let (retried, _) =
            records(&[failed("detect cat"), own("a.png", Some("detect cat"), BOX)], None, None);
        assert_eq!(retried[0].status, AnswerStatus::Ok);
    }

    #[test]
    fn a_stream_may_leave_out_what_is_null() {
        const HALF: &str = r#"[{"box_2d": [100, 200, 300, 400], "label": "cat"}, "#;
        const REST: &str = r#"{"box_2d": [500, 100, 900, 300], "label": "dog"}]"#;
        let chunk = |text: &str, reason: Option<&str>| {
            let mut choice = json!({"index": 0, "delta": {"content": text}});
            if let Some(reason) = reason {
                choice["finish_reason"] = reason.into();
            }
            json!({"image": "a.png", "width": 9, "height": 9, "id": "c",
                "object": "chat.completion.chunk", "choices": [choice]})
        };
        let usage = json!({"image": "a.png", "id": "c", "object": "chat.completion.chunk",
            "choices": [], "usage": {"total_tokens": 3}});
        for lines in [
            vec![chunk(HALF, None), chunk(REST, None), chunk("", Some("stop"))],
            vec![chunk(HALF, None), chunk(REST, Some("stop")), usage],
        ] {
            let (found, _) = records(&lines, None, None);
            assert_eq!(
                (found[0].status, found[0].detections.len(), found[0].notes.len()),
                (AnswerStatus::Ok, 2, 0)
            );
        }
    }

    #[test]
    fn calls_of_tools_are_part_of_the_answer() {
        let dog = BOX.replace("cat", "dog");
        let function = json!({"name": "report", "arguments": format!("{{\"objects\": {dog}}}")});
        let message = |content: Value| {
            json!({"role": "assistant", "content": content,
            "tool_calls": [{"function": function}]})
        };
        let of = |body: Value| {
            let mut line = json!({"image": "a.png", "width": 100, "height": 100});
            line["response"] = body;
            let (found, _) = records(&[line], None, None);
            (found[0].status, found[0].detections.len())
        };
        let chat = |message: Value| {
            json!({"choices": [{"message": message,
            "finish_reason": "tool_calls"}]})
        };
        assert_eq!(of(chat(message(BOX.into()))), (AnswerStatus::Salvaged, 2));
        assert_eq!(of(chat(message(Value::Null))), (AnswerStatus::Salvaged, 1));
        let ollama = json!({"message": message(BOX.into()), "done": true, "done_reason": "stop"});
        assert_eq!(of(ollama), (AnswerStatus::Salvaged, 2));
        // A choice that failed, and a part of the content that is a thought.
        let failed = json!({"choices": [{"message": {"content": BOX}, "finish_reason": "stop",
            "error": {"message": "x"}}]});
        assert_eq!(of(failed).0, AnswerStatus::Failed);
        let thought = json!([{"thought": true, "text": dog}, {"text": BOX}]);
        assert_eq!(of(chat(json!({"content": thought}))), (AnswerStatus::Ok, 1));
    }

    #[test]
    fn a_limit_is_known_by_many_names() {
        let cut = format!("{}\n", BOX.trim_matches(['[', ']']));
        let line = json!({"image": "a.png", "width": 9, "height": 9});
        for (key, value) in [
            ("finish_reason", json!("length")),
            ("finish_reason", json!("model_length")),
            ("stop_reason", json!("max_tokens")),
            ("meta_info", json!({"finish_reason": {"type": "length", "length": 9}})),
        ] {
            let mut line = line.clone();
            (line["text"], line[key]) = (cut.clone().into(), value);
            assert_eq!(records(&[line], None, None).0[0].status, AnswerStatus::Truncated, "{key}");
        }
    }

    #[test]
    fn boxes_that_answer_a_question_for_words_are_boxes() {
        let boxes = own("a.png", Some("Which animals are there?"), &format!("```json\n{BOX}\n```"));
        let (found, _) = records(std::slice::from_ref(&boxes), None, None);
        assert_eq!((found[0].status, found[0].detections.len()), (AnswerStatus::Ok, 1));
        let named = Asked { answer: Some(AnswerKind::Text), default_label: None };
        let collected = collect(boxes.to_string().as_bytes(), None, None).unwrap();
        let record = |image: ImageResponses| image.record(&named, &Rules::default()).status;
        assert_eq!(
            collected.images.into_iter().map(record).collect::<Vec<_>>(),
            [AnswerStatus::Text]
        );
    }

    #[test]
    fn text_and_replaced_answers_say_nothing_of_the_scale() {
        let share = r#"[{"box_2d": [0.1, 0.2, 0.3, 0.4], "label": "cat"}]"#;
        let caption = "A cat in the room, which is box_2d: [0, 0, 1000, 1000] as a whole.";
        let asked = Asked::default();
        for other in
            [own("b.png", Some("Describe it."), caption), own("a.png", Some("detect cat"), BOX)]
        {
            let lines = [other, own("a.png", Some("detect cat"), share)]
                .map(|line| line.to_string())
                .join("\n");
            let collected = collect(lines.as_bytes(), None, None).unwrap();
            let mut evidence = ScaleEvidence::default();
            collected
                .images
                .iter()
                .for_each(|image| image.weigh(&mut evidence, CoordinateOrder::default(), &asked));
            assert_eq!(evidence.decide().scale, CoordinateScale::One);
        }
    }

    #[test]
    fn sizes_are_stated_once_and_never_guessed() {
        let sized =
            |width: u32| json!({"image": "a.png", "width": width, "height": 100, "text": BOX});
        let unsized_line = json!({"image": "a.png", "text": BOX});
        let (found, problems) =
            records(&[unsized_line.clone(), sized(200), sized(100)], None, None);
        assert_eq!((found[0].width, found[0].detections[0].bbox.x1), (200, 80.0));
        assert_eq!(problems, ["3: a.png: the line says 100x100, line 2 says 200x100"]);
        let (found, problems) = records(&[unsized_line], None, None);
        assert!(found.is_empty());
        assert!(problems[0].starts_with("1: the size of a.png is not known"), "{problems:?}");
        for (line, says) in [
            (
                json!({"image": "a", "width": 0, "height": 1, "text": ""}),
                "width: 0 is no number of pixels",
            ),
            (json!({"image": "a", "width": 1, "text": ""}), "height: is missing beside width"),
            (json!({"image": 3, "text": ""}), "image: is not a text"),
            (json!({"text": "[]"}), "nothing names the image"),
            (json!({"image": "a.png"}), "it has image"),
            (json!({"custom_id": "1", "body": {"messages": []}}), "this is a request"),
            (json!({}), "it has no keys"),
        ] {
            let (found, problems) = records(&[line], None, None);
            assert!(found.is_empty() && problems[0].contains(says), "{says}: {problems:?}");
        }
    }
}
