//! The texts of a file under their names, up to a number of bytes.

/// The most bytes that all texts of a file may take, opened.
pub(super) const MOST_TEXT: usize = 16 << 20;

/// The texts of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct Texts {
    named: Vec<(String, String)>,
    /// What is broken.
    pub(super) notes: Vec<String>,
    bytes: usize,
}

impl Texts {
    /// The first text of that name.
    pub(super) fn get<'t>(&'t self, name: &'t str) -> Option<&'t str> {
        self.all(name).next()
    }

    /// All texts of that name.
    pub(super) fn all<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t str> {
        self.named.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Every name with its text.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Adds a text, while there is room.
    pub(super) fn add(&mut self, name: &str, text: String) {
        self.bytes += text.len();
        if self.bytes > MOST_TEXT {
            self.notes
                .push(format!("{name} takes more than {} MiB and is not read", MOST_TEXT >> 20));
        } else if !text.trim().is_empty() {
            self.named.push((name.to_owned(), text));
        }
    }

    /// Bytes for which there is room.
    pub(super) fn left(&self) -> usize {
        MOST_TEXT.saturating_sub(self.bytes)
    }

    /// Leaves no room for another text.
    pub(super) fn fill(&mut self) {
        self.bytes = MOST_TEXT;
    }
}

/// UTF-8 where it is that, whatever the chunk should hold, else Latin-1: makers write UTF-8 into
/// Latin-1 chunks.
pub(super) fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    match str::from_utf8(&bytes[..end]) {
        Ok(text) => text.to_owned(),
        // What a cut or a wrong byte spoils is a character, not the text.
        Err(error) if error.valid_up_to() * 2 > end && !bytes[..error.valid_up_to()].is_ascii() => {
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        }
        Err(_) => bytes[..end].iter().map(|&byte| char::from(byte)).collect(),
    }
}
