//! Meanings of the keys of an answer.
//!
//! In: a key as it is written, without its quotes. Out: a [`Key`]. Promises: case, separators (`_`,
//! `-`, space), camelCase and a number at the end (`object_1`) do not matter.
//!
//! # Labels
//!
//! The first of these that an object has is the label of its boxes: `label`, `label_name`,
//! `object_label`, `class_label`, `name`, `object_name`, `class_name`, `category_name`,
//! `item_name`, `class`, `category`, `object`, `item`, `entity`, `element`, `thing`, `subject`,
//! `species`, `animal`, `tag`, `caption`, `text`, `text_content`, `title`, `type`, `kind`,
//! `description`; the words for label, name, category, class and object of some other languages;
//! then any key whose last word is one of label, name, class, category, tag, species, type or text,
//! if its first word does not say that it is about something else (`file_name`, `color_name`,
//! `data_type`).

use std::ops::Range;
use std::slice;

use super::label::decode;
use super::marks;
use super::scan::BOX_KEY;

/// The longest key worth looking at, in bytes, with room for `\uXXXX` escapes.
const MAX_KEY: usize = 96;

/// Keys that can hold a label, best first, without separators; and whether a number can be one.
const LABELS: [(&str, bool); 43] = [
    ("label", true),
    ("labelname", false),
    ("labeltext", false),
    ("objectlabel", false),
    ("classlabel", false),
    ("itemlabel", false),
    ("box2dlabel", false),
    ("boxlabel", false),
    ("bboxlabel", false),
    ("name", true),
    ("objectname", false),
    ("classname", false),
    ("categoryname", false),
    ("itemname", false),
    ("displayname", false),
    ("class", true),
    ("cls", false),
    ("category", true),
    ("object", true),
    ("obj", false),
    ("item", false),
    ("entity", false),
    ("element", false),
    ("thing", false),
    ("subject", false),
    ("species", false),
    ("animal", false),
    ("plant", false),
    ("vehicle", false),
    ("product", false),
    ("ingredient", false),
    ("defect", false),
    ("concept", false),
    ("tag", false),
    ("caption", true),
    ("text", true),
    ("textcontent", true),
    ("content", false),
    ("word", false),
    ("title", true),
    ("type", false),
    ("kind", false),
    ("description", true),
];

/// Label, name, category, class and object in other languages, in lower case.
const FOREIGN_LABELS: [&str; 40] = [
    "etiqueta",
    "etichetta",
    "étiquette",
    "etiquette",
    "rotulo",
    "rótulo",
    "bezeichnung",
    "beschriftung",
    "метка",
    "标签",
    "標籤",
    "ラベル",
    "레이블",
    "라벨",
    "nombre",
    "nome",
    "nom",
    "名称",
    "名稱",
    "名前",
    "이름",
    "имя",
    "название",
    "categoria",
    "categoría",
    "catégorie",
    "kategorie",
    "类别",
    "類別",
    "カテゴリ",
    "clase",
    "classe",
    "klasse",
    "класс",
    "objeto",
    "oggetto",
    "objet",
    "objekt",
    "物体",
    "объект",
];

/// The rank of all other label keys: the first of them counts.
pub(super) const SHARED_RANK: usize = LABELS.len() + FOREIGN_LABELS.len();

/// Last words of other label keys.
const LABEL_ENDS: [&str; 9] =
    ["label", "name", "class", "category", "tag", "species", "type", "kind", "text"];

/// First words of keys that end like a label's and hold something else.
const NO_LABELS: [&str; 32] = [
    "file",
    "image",
    "img",
    "photo",
    "picture",
    "folder",
    "dataset",
    "data",
    "color",
    "colour",
    "font",
    "mime",
    "media",
    "box",
    "bbox",
    "annotation",
    "shape",
    "geometry",
    "coordinate",
    "coordinates",
    "model",
    "user",
    "author",
    "action",
    "event",
    "source",
    "parent",
    "super",
    "unit",
    "material",
    "field",
    "response",
];

/// Keys that can hold how sure the model says that it is.
const CONFIDENCES: [&str; 6] =
    ["confidence", "confidencescore", "conf", "score", "probability", "prob"];

/// Words of keys whose boxes another member of the object replaces: drafts, attempts, what was
/// taken back. The first word decides, or any word if the rest wraps boxes (`false_positives`).
const DRAFTS: [&str; 70] = [
    "draft",
    "drafts",
    "initial",
    "preliminary",
    "tentative",
    "example",
    "examples",
    "sample",
    "rejected",
    "discarded",
    "removed",
    "incorrect",
    "original",
    "originals",
    "previous",
    "prior",
    "before",
    "old",
    "rough",
    "coarse",
    "unrefined",
    "uncorrected",
    "superseded",
    "attempt",
    "attempts",
    "try",
    "tries",
    "trial",
    "trials",
    "pass",
    "iteration",
    "iterations",
    "step",
    "steps",
    "guess",
    "guesses",
    "hypothesis",
    "hypotheses",
    "proposal",
    "proposals",
    "proposed",
    "option",
    "options",
    "alternative",
    "alternatives",
    "excluded",
    "ignored",
    "dismissed",
    "deleted",
    "invalid",
    "unlikely",
    "negative",
    "negatives",
    "observation",
    "observations",
    "uncertain",
    "unsure",
    "doubtful",
    "unverified",
    "unconfirmed",
    "suppressed",
    "filtered",
    "dropped",
    "hallucinated",
    "hallucinations",
    "wrong",
    "mistaken",
    "duplicates",
    "versions",
    "not",
];

/// Words before one of [`DRAFTS`], or before a wrapper, that make it a draft: `first_attempt`,
/// `false_positives`.
const DRAFT_STARTS: [&str; 6] = ["first", "second", "third", "1st", "2nd", "earlier"];

/// Words of keys that replace what drafts beside them hold.
const FINALS: [&str; 20] = [
    "final",
    "corrected",
    "correct",
    "refined",
    "revised",
    "selected",
    "chosen",
    "accepted",
    "kept",
    "updated",
    "verified",
    "improved",
    "fixed",
    "adjusted",
    "after",
    "best",
    "definitive",
    "approved",
    "validated",
    "confirmed",
];

/// Words that say nothing of what a key holds, beside [`WRAPPERS`] and [`PLACES`]: `detected_cats`,
/// `image_001.jpg`.
const GENERIC: [&str; 55] = [
    "all",
    "any",
    "located",
    "identified",
    "visible",
    "present",
    "final",
    "main",
    "primary",
    "secondary",
    "new",
    "other",
    "others",
    "total",
    "full",
    "raw",
    "object",
    "obj",
    "item",
    "thing",
    "entity",
    "element",
    "instance",
    "det",
    "id",
    "model",
    "the",
    "of",
    "in",
    "for",
    "with",
    "by",
    "and",
    "positive",
    "positives",
    "true",
    "yes",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "gif",
    "bmp",
    "tif",
    "tiff",
    "array",
    "function",
    "tool",
    "call",
    "a",
    "b",
    "c",
    "one",
    "two",
    "three",
];

/// Words of keys of lists of numbers that count or rate something.
const QUANTITIES: [&str; 58] = [
    "rating",
    "ratings",
    "digit",
    "digits",
    "choice",
    "choices",
    "measure",
    "measures",
    "measurement",
    "measurements",
    "value",
    "values",
    "number",
    "numbers",
    "vote",
    "votes",
    "grade",
    "grades",
    "mark",
    "marks",
    "level",
    "levels",
    "amount",
    "amounts",
    "price",
    "prices",
    "year",
    "years",
    "age",
    "ages",
    "temperature",
    "temperatures",
    "angle",
    "angles",
    "stat",
    "statistics",
    "sequence",
    "series",
    "likelihoods",
    "likelihood",
    "percentages",
    "percentage",
    "percent",
    "logits",
    "points",
    "totals",
    "sums",
    "quantities",
    "quantity",
    "widths",
    "heights",
    "lengths",
    "distances",
    "depths",
    "indices",
    "index",
    "order",
    "ranking",
];

/// Words that wrap boxes and label nothing; a key of several words is one if its last word is.
const WRAPPERS: [&str; 68] = [
    "detection",
    "detections",
    "detected",
    "detect",
    "objects",
    "results",
    "result",
    "instances",
    "instance",
    "items",
    "annotations",
    "annotation",
    "data",
    "answer",
    "answers",
    "output",
    "outputs",
    "response",
    "responses",
    "predictions",
    "prediction",
    "entities",
    "elements",
    "findings",
    "finding",
    "found",
    "image",
    "images",
    "picture",
    "photo",
    "list",
    "lists",
    "lines",
    "line",
    "words",
    "texts",
    "shapes",
    "targets",
    "target",
    "segments",
    "candidates",
    "matches",
    "match",
    "values",
    "value",
    "contents",
    "things",
    "subjects",
    "members",
    "entries",
    "entry",
    "parts",
    "part",
    "children",
    "groups",
    "group",
    "frames",
    "frame",
    "pages",
    "page",
    "view",
    "views",
    "arguments",
    "args",
    "parameters",
    "params",
    "input",
    "payload",
];

/// Keys of lists of labels.
const LABEL_LISTS: [&str; 8] = [
    "labels",
    "names",
    "classes",
    "categories",
    "labelnames",
    "classnames",
    "categorynames",
    "objectnames",
];

/// Keys of what explains the numbers that stand for labels.
const LEGENDS: [&str; 12] = [
    "labelmap",
    "classmap",
    "categorymap",
    "idtolabel",
    "id2label",
    "idtoname",
    "id2name",
    "legend",
    "mapping",
    "labelmapping",
    "classmapping",
    "namesmap",
];

/// Keys of numbers that stand for labels.
const INDICES: [&str; 14] = [
    "classid",
    "categoryid",
    "labelid",
    "typeid",
    "tagid",
    "clsid",
    "classindex",
    "categoryindex",
    "labelindex",
    "classidx",
    "categoryidx",
    "labelidx",
    "classnumber",
    "labelnumber",
];

/// Words that places are made of. A key of nothing else holds coordinates of another convention.
const PLACES: [&str; 56] = [
    "box",
    "boxes",
    "bbox",
    "bboxes",
    "bndbox",
    "bounding",
    "bound",
    "bounds",
    "boundary",
    "bb",
    "2d",
    "3d",
    "box2",
    "box3d",
    "bbox2d",
    "bbox3d",
    "bbox2",
    "coordinates",
    "coordinate",
    "coords",
    "coord",
    "location",
    "locations",
    "position",
    "positions",
    "rect",
    "rectangle",
    "rects",
    "region",
    "regions",
    "roi",
    "point",
    "points",
    "point2d",
    "keypoint",
    "keypoints",
    "polygon",
    "polygons",
    "contour",
    "mask",
    "masks",
    "segmentation",
    "contours",
    "loc",
    "locs",
    "area",
    "areas",
    "extent",
    "extents",
    "rectangles",
    "corner",
    "pos",
    "xyxy",
    "xywh",
    "center",
    "centre",
];

/// Those of [`PLACES`] that are details of the box beside them, and no second box.
const SHAPES: [&str; 16] = [
    "point",
    "points",
    "point2d",
    "keypoint",
    "keypoints",
    "polygon",
    "polygons",
    "contour",
    "contours",
    "mask",
    "masks",
    "segmentation",
    "center",
    "centre",
    "corner",
    "corners",
];

/// More words of such keys, which say nothing alone.
const PLACE_DETAILS: [&str; 17] = [
    "norm",
    "normalized",
    "normalised",
    "pixel",
    "pixels",
    "px",
    "abs",
    "absolute",
    "rel",
    "relative",
    "rotated",
    "oriented",
    "corners",
    "list",
    "cxcywh",
    "yxyx",
    "ltrb",
];

/// Keys of lists of four numbers that are no boxes.
const ASIDES: [&str; 50] = [
    "color",
    "colour",
    "colors",
    "colours",
    "rgb",
    "rgba",
    "bgr",
    "hsv",
    "hex",
    "matrix",
    "weights",
    "weight",
    "size",
    "sizes",
    "shape",
    "dims",
    "dimensions",
    "resolution",
    "scores",
    "confidences",
    "probabilities",
    "embedding",
    "vector",
    "range",
    "ranges",
    "padding",
    "margin",
    "crop",
    "ids",
    "id",
    "counts",
    "count",
    "total",
    "number",
    "num",
    "histogram",
    "stats",
    "metadata",
    "meta",
    "extra",
    "info",
    "camera",
    "quaternion",
    "rotation",
    "transform",
    "gps",
    "time",
    "timestamp",
    "date",
    "version",
];

/// Words of keys that say something else of a thing than what it is.
const PROPERTIES: [&str; 68] = [
    "unit",
    "material",
    "state",
    "status",
    "condition",
    "side",
    "direction",
    "orientation",
    "pose",
    "action",
    "activity",
    "gender",
    "sex",
    "age",
    "emotion",
    "expression",
    "mood",
    "reason",
    "reasons",
    "rationale",
    "evidence",
    "explanation",
    "justification",
    "comment",
    "comments",
    "note",
    "notes",
    "remark",
    "remarks",
    "attribute",
    "attributes",
    "property",
    "feature",
    "features",
    "visibility",
    "visible",
    "occlusion",
    "occluded",
    "truncated",
    "difficulty",
    "difficult",
    "quality",
    "severity",
    "source",
    "pattern",
    "texture",
    "style",
    "file",
    "filename",
    "path",
    "url",
    "uri",
    "language",
    "lang",
    "priority",
    "level",
    "appearance",
    "details",
    "detail",
    "certainty",
    "sentiment",
    "finish",
    "unicode",
    "font",
    "ground",
    "relation",
    "tags",
    "keywords",
];

/// The meaning of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Coordinates.
    Box,
    /// A label; the smaller number wins. `core` is one of the names that an answer's label has
    /// most.
    Label { rank: usize, core: bool },
    /// A list of labels, one for each box beside it, or the words for their numbers.
    Labels,
    /// The words for the numbers of labels, in another form than a list.
    Legend,
    /// The number of a label.
    Index,
    /// `boxes`: lists of coordinates, if a label says of what.
    Boxes,
    /// Coordinates of another convention, which are not read.
    Place,
    /// One coordinate, which is not read: along x, or along y.
    Side { x: bool },
    /// How sure the model says that it is.
    Confidence,
    /// A draft, an example or a thought, which another member replaces.
    Draft,
    /// Something about the answer that holds no boxes.
    Aside,
    /// Something that holds boxes and labels nothing.
    Wrapper,
    /// A word that labels what it holds.
    Group,
}

impl Key {
    /// Reads a key.
    pub(super) fn of(raw: &str) -> Self {
        if raw.len() > MAX_KEY {
            return Self::Aside;
        }
        let written = decode(raw);
        let mut words = words(&written);
        let joined = words.concat();
        if joined == BOX_KEY || joined == "boxes2d" || joined == "box2ds" {
            return Self::Box;
        }
        if let Some(side) = side(&joined) {
            return side;
        }
        // `object_1`, `item 2`.
        if words.len() > 1
            && words.last().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()))
        {
            words.pop();
        }
        let joined = words.concat();
        let name = joined.as_str();
        if CONFIDENCES.contains(&name) {
            return Self::Confidence;
        }
        if let Some(rank) = LABELS.iter().position(|(key, _)| *key == name) {
            return Self::Label { rank, core: LABELS[rank].1 };
        }
        if let Some(rank) = FOREIGN_LABELS.iter().position(|key| *key == name) {
            return Self::Label { rank: LABELS.len() + rank, core: false };
        }
        let last = words.last().map_or("", String::as_str);
        let first = words.first().map_or("", String::as_str);
        match () {
            () if is_draft(&words) => Self::Draft,
            () if INDICES.contains(&name) => Self::Index,
            () if LEGENDS.contains(&name) => Self::Legend,
            () if LABEL_LISTS.contains(&name) => Self::Labels,
            () if name == "boxes" => Self::Boxes,
            () if is_place(&words) => Self::Place,
            () if ASIDES.contains(&last) => Self::Aside,
            () if WRAPPERS.contains(&last) => Self::Wrapper,
            // `detected_objects`, `visible_items`.
            () if words.len() > 1 && LABEL_ENDS.contains(&last) => {
                if NO_LABELS.contains(&first) {
                    Self::Aside
                } else {
                    Self::Label { rank: SHARED_RANK, core: false }
                }
            }
            () if !name.contains(char::is_alphabetic) => Self::Wrapper,
            () => Self::Group,
        }
    }

    /// The key of `"label": "text": "…"`, two keys before one value.
    pub(super) fn doubled(self, second: Self) -> Self {
        match (self, second) {
            (Self::Label { rank: a, core }, Self::Label { rank: b, .. }) => {
                Self::Label { rank: a.min(b), core }
            }
            _ => second,
        }
    }

    /// Whether a value of this key cannot be a key itself.
    pub(super) fn is_core(self) -> bool {
        matches!(self, Self::Box | Self::Label { core: true, .. })
    }
}

/// Whether a text under this key could be a label for all that is known of the key.
pub(super) fn could_name(raw: &str) -> bool {
    const OF_THE_IMAGE: [&str; 16] = [
        "image", "images", "picture", "photo", "frame", "frames", "page", "pages", "view", "views",
        "data", "payload", "input", "list", "lists", "response",
    ];
    let words = words(&decode(raw));
    let names = match Key::of(raw) {
        Key::Group | Key::Index => true,
        Key::Wrapper => !words.iter().any(|word| OF_THE_IMAGE.contains(&word.as_str())),
        Key::Aside => words.last().is_some_and(|word| word == "id"),
        _ => false,
    };
    names && !words.iter().any(|word| PROPERTIES.contains(&word.as_str()))
        || words.concat() == "referringexpression"
}

/// The meaning of a key for the boxes that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Naming {
    /// It is their label; the bytes of the key.
    Label(Range<usize>),
    /// These bytes of it may be their label: `person` of `person_detections`.
    Guess(Range<usize>),
    /// Nothing.
    Nothing,
}

/// The meaning of a key for the boxes that it holds. A number at its end does not matter.
pub(super) fn naming(raw: &str) -> Naming {
    if !matches!(Key::of(raw), Key::Group | Key::Wrapper | Key::Place | Key::Boxes) {
        return Naming::Nothing;
    }
    if is_file_name(raw) {
        return Naming::Nothing;
    }
    if raw.contains('\\') {
        return if Key::of(raw) == Key::Group {
            Naming::Label(0..raw.len())
        } else {
            Naming::Nothing
        };
    }
    let parts = spans(raw);
    // `person1`, `object 2`.
    let stem = |span: &Range<usize>| {
        let word = &raw[span.clone()];
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if letters.len() == word.len() || letters.chars().count() < 3 {
            span.clone()
        } else {
            span.start..span.start + letters.len()
        }
    };
    let says_nothing = |span: &Range<usize>| {
        let word = raw[stem(span)].to_lowercase();
        let word = word.as_str();
        word.bytes().all(|b| b.is_ascii_digit())
            || GENERIC.contains(&word)
            || WRAPPERS.contains(&word)
            || (PLACES.contains(&word) && !word.starts_with("mask"))
            || PLACE_DETAILS.contains(&word)
            || QUANTITIES.contains(&word)
    };
    let number = |span: &Range<usize>| raw[span.clone()].bytes().all(|b| b.is_ascii_digit());
    let Some(first) = parts.iter().position(|span| !says_nothing(span)) else {
        return Naming::Nothing;
    };
    let last = parts.iter().rposition(|span| !says_nothing(span)).unwrap_or(first);
    let named = parts.iter().rposition(|span| !number(span)).unwrap_or(last);
    let end = |index: usize| {
        if index + 1 == parts.len() || index == named {
            stem(&parts[index]).end
        } else {
            parts[index].end
        }
    };
    if first == 0 && last == named {
        if Key::of(raw) == Key::Place {
            return Naming::Guess(0..raw.len());
        }
        return Naming::Label(
            0..if named + 1 == parts.len() && stem(&parts[named]) == parts[named] {
                raw.len()
            } else {
                end(named)
            },
        );
    }
    // `gift_box` may be what it says.
    if raw[parts[named].clone()].eq_ignore_ascii_case("box") && first == 0 {
        return Naming::Guess(0..end(named));
    }
    Naming::Guess(parts[first].start..end(last))
}

/// Whether a key names a place, or counts something, so that four numbers under it are no box of
/// its own.
pub(super) fn is_no_noun(raw: &str) -> bool {
    let words = words(&decode(raw));
    let holds = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    holds(&PLACES) || holds(&QUANTITIES) || holds(&ASIDES) || holds(&PROPERTIES)
}

/// Whether a key that is no place in itself may hold anything: `extra`.
pub(super) fn may_hold_all(raw: &str) -> bool {
    words(&decode(raw)).last().is_some_and(|word| matches!(word.as_str(), "extra" | "info"))
}

/// Whether numbers under this key are no place at all.
pub(super) fn counts(raw: &str) -> bool {
    let words = words(&decode(raw));
    words
        .iter()
        .any(|word| QUANTITIES.contains(&word.as_str()) || PROPERTIES.contains(&word.as_str()))
}

/// Whether a key names the shape of a thing, or a point of it, and not a box.
pub(super) fn is_shape(raw: &str) -> bool {
    let words = words(&decode(raw));
    words.iter().any(|word| SHAPES.contains(&word.as_str()))
        && !words.iter().any(|word| matches!(word.as_str(), "box" | "boxes" | "bbox" | "bboxes"))
}

/// Whether the boxes under this key replace those of drafts beside it.
pub(super) fn is_final(raw: &str) -> bool {
    words(&decode(raw)).iter().any(|word| FINALS.contains(&word.as_str()))
}

/// Whether a label of this rank may be the name, the title or the type of a whole answer.
pub(super) fn is_envelope(rank: usize) -> bool {
    const ENVELOPES: [&str; 9] = [
        "name",
        "displayname",
        "caption",
        "text",
        "textcontent",
        "content",
        "title",
        "description",
        "type",
    ];
    const FOREIGN: [&str; 10] =
        ["nombre", "nome", "nom", "名称", "名稱", "名前", "이름", "имя", "название", "kind"];
    LABELS.get(rank).is_some_and(|(key, _)| ENVELOPES.contains(key) || FOREIGN.contains(key))
        || rank
            .checked_sub(LABELS.len())
            .and_then(|rank| FOREIGN_LABELS.get(rank))
            .is_some_and(|key| FOREIGN.contains(key))
}

/// Whether a label of this rank that stands in an entry of a list is the name of what the entry
/// holds (`[{"name": "cat", "instances": [...]}]`), and not that of a file or a function.
pub(super) fn is_name_of_thing(rank: usize, text: &str) -> bool {
    const NAMES: [&str; 2] = ["name", "displayname"];
    let of_answer =
        |word: &String| WRAPPERS.contains(&word.as_str()) || GENERIC.contains(&word.as_str());
    LABELS.get(rank).is_some_and(|(key, _)| NAMES.contains(key))
        && !is_file_name(text)
        && !words(text).iter().any(of_answer)
}

/// Whether a label of this rank stands under `type` or `kind`.
pub(super) fn is_weak(rank: usize) -> bool {
    LABELS.get(rank).is_some_and(|(key, _)| matches!(*key, "type" | "kind"))
}

/// Whether what this key holds are several answers to one question: `attempts`, `options`.
pub(super) fn holds_several(raw: &str) -> bool {
    const SEVERAL: [&str; 9] = [
        "attempts",
        "tries",
        "trials",
        "iterations",
        "steps",
        "guesses",
        "hypotheses",
        "options",
        "alternatives",
    ];
    words(&decode(raw)).iter().any(|word| SEVERAL.contains(&word.as_str()))
}

/// Whether a text that stands for a label only says that something is there: `object_1`, `7`,
/// `detection`.
pub(super) fn is_no_label(text: &str) -> bool {
    text.len() <= MAX_KEY
        && text.chars().any(|c| c.is_ascii_digit())
        && naming_of_text(text) == Naming::Nothing
}

/// Whether a text names a form of answer, and not a thing: `box_2d`, `detection`, `list`.
pub(super) fn is_form(text: &str) -> bool {
    matches!(Key::of(text), Key::Box | Key::Place | Key::Boxes | Key::Wrapper)
        || GENERIC.contains(&text.to_lowercase().as_str())
}

/// Whether a text is the name of a file.
pub(super) fn is_file_name(text: &str) -> bool {
    const EXTENSIONS: [&str; 9] =
        ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "json"];
    text.rsplit_once('.')
        .is_some_and(|(_, end)| EXTENSIONS.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

fn naming_of_text(text: &str) -> Naming {
    let says = spans(text).iter().all(|span| {
        let word = text[span.clone()].to_lowercase();
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        word.is_empty()
            || GENERIC.contains(&word)
            || WRAPPERS.contains(&word)
            || PLACES.contains(&word)
    });
    if says { Naming::Nothing } else { Naming::Label(0..text.len()) }
}

/// The words of a key: they are separated by separators, or begin with a capital letter.
fn spans(written: &str) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut before = ' ';
    for (at, c) in written.char_indices() {
        if c.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (before.is_lowercase() && c.is_uppercase());
            match spans.last_mut() {
                Some(span) if !begins => span.end = at + c.len_utf8(),
                _ => spans.push(at..at + c.len_utf8()),
            }
        }
        before = c;
    }
    spans
}

/// The words of a key, in lower case: what separators and capital letters part.
fn words(written: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in written.chars() {
        if c.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (before.is_lowercase() && c.is_uppercase());
            if begins || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        // A backslash that escapes nothing does not belong to the key: some models write `box\_2d`.
        if c != '\\' {
            before = c;
        }
    }
    words
}

/// One coordinate.
fn side(name: &str) -> Option<Key> {
    let x = [
        "x", "x0", "x1", "x2", "xmin", "xmax", "minx", "maxx", "left", "right", "cx", "xcenter",
        "centerx", "xc",
    ];
    let y = [
        "y", "y0", "y1", "y2", "ymin", "ymax", "miny", "maxy", "top", "bottom", "cy", "ycenter",
        "centery", "yc",
    ];
    match () {
        () if x.contains(&name) => Some(Key::Side { x: true }),
        () if y.contains(&name) => Some(Key::Side { x: false }),
        () => None,
    }
}

/// The positions of the keys of ymin, xmin, ymax and xmax among `names`, if these are the four
/// sides of a box.
pub(super) fn order_of_sides(names: &[&str]) -> Option<[usize; 4]> {
    const SIDES: [[&str; 4]; 6] = [
        ["ymin", "xmin", "ymax", "xmax"],
        ["miny", "minx", "maxy", "maxx"],
        ["y0", "x0", "y1", "x1"],
        ["y1", "x1", "y2", "x2"],
        ["top", "left", "bottom", "right"],
        ["ytopleft", "xtopleft", "ybottomright", "xbottomright"],
    ];
    let names: Vec<String> = names.iter().map(|name| words(&decode(name)).concat()).collect();
    let index = |wanted: &str| names.iter().position(|name| name == wanted);
    SIDES.iter().find_map(|[ymin, xmin, ymax, xmax]| {
        Some([index(ymin)?, index(xmin)?, index(ymax)?, index(xmax)?])
    })
}

/// `draft`, `initial_detections`, `first_attempt`, `false_positives`, `thoughts`.
fn is_draft(words: &[String]) -> bool {
    let draft = |word: &String| DRAFTS.contains(&word.as_str());
    let wraps = |word: &String| {
        WRAPPERS.contains(&word.as_str())
            || GENERIC.contains(&word.as_str())
            || is_place(slice::from_ref(word))
            || word.bytes().all(|b| b.is_ascii_digit())
            || draft(word)
    };
    let Some((first, rest)) = words.split_first() else { return false };
    let starts = DRAFT_STARTS.contains(&first.as_str()) && !rest.is_empty();
    let wrong = first == "false" && rest.iter().all(|word| word.starts_with("positive"));
    ((draft(first) || starts || (first == "false" && !rest.is_empty() && wrong))
        && rest.iter().all(wraps))
        || marks::names_thought(&words.concat())
}

fn is_place(words: &[String]) -> bool {
    let place = |word: &String| PLACES.contains(&word.as_str());
    let detail = |word: &String| {
        PLACE_DETAILS.contains(&word.as_str()) || word.bytes().all(|b| b.is_ascii_digit())
    };
    words.iter().any(place) && words.iter().all(|word| place(word) || detail(word))
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn boxes_in_their_spellings() {
        for key in [
            "box_2d",
            "box2d",
            "box-2d",
            "box_2D",
            "Box 2D",
            "BOX_2D",
            "box\\_2d",
            "box\\u005f2d",
            "boxes_2d",
        ] {
            assert_eq!(Key::of(key), Key::Box, "{key}");
        }
        for key in [
            "bbox_2d",
            "bbox",
            "bboxes",
            "box_3d",
            "box",
            "box2",
            "bounding_box",
            "boundingBox",
            "bounding_box_2d",
            "coordinates",
            "location",
            "point",
            "polygon",
            "bbox_norm",
            "xyxy",
        ] {
            assert_eq!(Key::of(key), Key::Place, "{key}");
        }
        assert_eq!(Key::of("box_2d_old"), Key::Group);
        assert_eq!(Key::of("boxes"), Key::Boxes);
        assert_eq!(
            (Key::of("xmin"), Key::of("y1")),
            (Key::Side { x: true }, Key::Side { x: false })
        );
    }

    #[test]
    fn labels_under_the_keys_that_people_use() {
        let rank = |key: &str| match Key::of(key) {
            Key::Label { rank, .. } => rank,
            other => panic!("{key}: {other:?}"),
        };
        for key in [
            "object_name",
            "objectName",
            "OBJECT-NAME",
            "class_name",
            "className",
            "object_label",
            "item",
            "tag",
            "name",
            "species",
            "category_name",
            "type",
            "class",
            "text",
            "label_1",
            "Product Name",
            "defect_type",
            "plant species",
            "rotulo",
            "Categoria",
            "名称",
            "étiquette",
            "ocr_text",
            "vehicleType",
        ] {
            rank(key);
        }
        let order = [
            "label",
            "object_name",
            "class",
            "category",
            "species",
            "text",
            "type",
            "description",
            "标签",
            "sign_type",
        ];
        assert!(order.is_sorted_by(|a, b| rank(a) < rank(b)));
        for key in [
            "file_name",
            "color_name",
            "imageName",
            "data_type",
            "action_type",
            "confidence",
            "score",
            "material",
            "unit",
        ] {
            assert!(!matches!(Key::of(key), Key::Label { .. }), "{key}");
        }
        assert_eq!(Key::of("Label"), Key::Label { rank: 0, core: true });
        assert_eq!(Key::of("text_content"), Key::of("textContent"));
    }

    #[test]
    fn words_that_hold_boxes() {
        for key in [
            "detections",
            "detected_objects",
            "Results",
            "items_2",
            "1",
            "all_instances",
            "image",
            "frame_3",
            "parts",
        ] {
            assert_eq!(Key::of(key), Key::Wrapper, "{key}");
        }
        for key in [
            "person",
            "traffic light",
            "gift_box",
            "mailbox",
            "cat_1",
            "猫",
            "x y",
            "fire extinguishers",
        ] {
            assert_eq!(Key::of(key), Key::Group, "{key}");
        }
        for key in ["color", "image_size", "scores", "count"] {
            assert_eq!(Key::of(key), Key::Aside, "{key}");
        }
        assert_eq!(Key::of(&"x".repeat(1000)), Key::Aside);
    }
}
