//! Kinds of file that are no images here, with advice.
//!
//! In: the first bytes of a file, or its extension. Out: its kind, with a name and advice.
//! Promises: a file without a known signature has no kind.
//!
//! Sources: ISO/IEC 14496-12 (`ftyp`), ISO/IEC 18181-2 (JPEG XL), 15444-1 (JPEG 2000), and PKWARE's
//! APPNOTE (zip).

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Foreign {
    /// HEIC or HEIF.
    Heif,
    /// AVIF.
    Avif,
    /// JPEG XL.
    JpegXl,
    /// JPEG 2000.
    Jpeg2000,
    /// The raw data of a camera's sensor.
    Raw,
    /// A video.
    Video,
    /// An archive that is read when it is named.
    ReadInPlace,
    /// An archive that is not read.
    Archive,
    /// A page of the web, which a download often is instead of an image.
    Html,
    /// PDF.
    Pdf,
    /// SVG.
    Svg,
    /// Photoshop.
    Photoshop,
}

impl Foreign {
    /// The kind of a file that begins with these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        if let Some(&[_, _, _, _, b'f', b't', b'y', b'p', ref brand @ ..]) =
            bytes.first_chunk::<12>()
        {
            return Some(match brand {
                b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
                    Self::Heif
                }
                b"avif" | b"avis" => Self::Avif,
                b"crx " => Self::Raw,
                _ => Self::Video,
            });
        }
        let signs: [(&[u8], Self); 14] = [
            (b"\xFF\x0A", Self::JpegXl),
            (b"\0\0\0\x0CJXL ", Self::JpegXl),
            (b"\0\0\0\x0CjP  ", Self::Jpeg2000),
            (b"\xFF\x4F\xFF\x51", Self::Jpeg2000),
            (b"\x1A\x45\xDF\xA3", Self::Video),
            (b"\0\0\x01\xBA", Self::Video),
            (b"PK\x03\x04", Self::Archive),
            (b"PK\x05\x06", Self::Archive),
            (b"7z\xBC\xAF\x27\x1C", Self::Archive),
            (b"Rar!\x1A\x07", Self::Archive),
            (b"\x1F\x8B", Self::Archive),
            (b"\x28\xB5\x2F\xFD", Self::Archive),
            (b"%PDF-", Self::Pdf),
            (b"8BPS", Self::Photoshop),
        ];
        if let Some((_, kind)) = signs.into_iter().find(|(sign, _)| bytes.starts_with(sign)) {
            return Some(kind);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"AVI ") {
            return Some(Self::Video);
        }
        let text = bytes[..bytes.len().min(256)].trim_ascii_start();
        let begins = |with: &str| {
            text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
        };
        if begins("<!doctype html") || begins("<html") {
            return Some(Self::Html);
        }
        begins("<svg").then_some(Self::Svg)
    }

    /// The kind of a file with this extension, whatever its case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "heic" | "heif" | "hif" => Self::Heif,
            "avif" => Self::Avif,
            "jxl" => Self::JpegXl,
            "jp2" | "j2k" | "jpf" | "jpx" => Self::Jpeg2000,
            "cr2" | "cr3" | "nef" | "arw" | "dng" | "orf" | "rw2" | "raf" | "pef" | "srw"
            | "raw" => Self::Raw,
            "mp4" | "mov" | "m4v" | "avi" | "mkv" | "webm" | "mts" | "m2ts" | "mpg" | "mpeg"
            | "wmv" | "3gp" => Self::Video,
            "tar" | "zip" => Self::ReadInPlace,
            "7z" | "rar" | "gz" | "tgz" | "zst" | "xz" | "bz2" => Self::Archive,
            "html" | "htm" => Self::Html,
            "pdf" => Self::Pdf,
            "svg" => Self::Svg,
            "psd" => Self::Photoshop,
            _ => return None,
        })
    }

    /// Its name, with an article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heif => "a HEIC image",
            Self::Avif => "an AVIF image",
            Self::JpegXl => "a JPEG XL image",
            Self::Jpeg2000 => "a JPEG 2000 image",
            Self::Raw => "a camera's raw image",
            Self::Video => "a video",
            Self::ReadInPlace | Self::Archive => "an archive",
            Self::Html => "a web page (HTML)",
            Self::Pdf => "a PDF",
            Self::Svg => "an SVG drawing",
            Self::Photoshop => "a Photoshop file",
        }
    }

    /// How to make images of it, as one sentence; empty for files that are no pictures.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Heif | Self::Avif => {
                "HEIC and AVIF are read if there is an ffmpeg: install it (apt install ffmpeg, \
                 brew install ffmpeg), or name one with `ffmpeg`."
            }
            Self::JpegXl | Self::Jpeg2000 => {
                "JPEG XL and JPEG 2000 are not read: make JPEGs of them, for example \
                 with ImageMagick's `magick mogrify -format jpg *.jxl`."
            }
            Self::Raw => {
                "Raw images of cameras are not read: develop them into JPEGs, for example with \
                 `darktable-cli` or `dcraw`."
            }
            Self::Video => {
                "Videos (mp4, mov, mkv, webm, avi, m4v) are read if it is said which of their \
                 frames are images, for example `frames` every:1s; that needs ffmpeg."
            }
            Self::ReadInPlace => {
                "An archive in a folder is not opened: name the .tar or .zip itself to \
                 read the images in it."
            }
            Self::Archive => "Of archives only .tar and .zip are read: unpack the others.",
            Self::Html | Self::Pdf | Self::Svg | Self::Photoshop => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_from_the_first_bytes() {
        for (bytes, kind) in [
            (&b"\0\0\0\x18ftypheic\0\0\0\0"[..], Some(Foreign::Heif)),
            (b"\0\0\0\x20ftypavif", Some(Foreign::Avif)),
            (b"\0\0\0\x20ftypisom", Some(Foreign::Video)),
            (b"PK\x03\x04", Some(Foreign::Archive)),
            (b"RIFF\0\0\0\0AVI LIST", Some(Foreign::Video)),
            (b"RIFF\0\0\0\0WEBP", None),
            (b"\n <!DOCTYPE html><p>", Some(Foreign::Html)),
            (b"\xFF\xD8\xFF", None),
            (b"", None),
        ] {
            assert_eq!(Foreign::of_bytes(bytes), kind, "{bytes:?}");
        }
        assert_eq!(Foreign::of_extension("HEIC"), Some(Foreign::Heif));
        assert_eq!(Foreign::of_extension("txt"), None);
    }
}
