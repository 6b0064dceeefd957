//! When, and with which camera, an image was taken.
//!
//! In: the bytes of a JPEG, PNG, WebP or TIFF file. Out: [`Capture`], as the file's EXIF block says
//! it. Promises: no pixel is decoded; a broken entry is one that is not there, and costs no other;
//! texts are short, and of one line.
//!
//! Source: CIPA DC-008 (Exif 2.32), 4.6.

use super::segments;
use super::tiff_block::Block;
use crate::record::Capture;

const EXIF_DIRECTORY: u16 = 0x8769;
const MAKE: u16 = 0x010F;
const MODEL: u16 = 0x0110;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const OFFSET_TIME_ORIGINAL: u16 = 0x9011;
const SUBSEC_TIME_ORIGINAL: u16 = 0x9291;

/// The most characters of a camera's name.
const MAX_NAME_LENGTH: usize = 100;

/// Time and camera from the EXIF block of an image file; `None` if it has neither.
pub fn capture(file: &[u8]) -> Option<Capture> {
    let block = Block::new(segments::exif(file)?)?;
    let first = block.first_directory()?;
    let exif = block.directory_of(first, EXIF_DIRECTORY);
    let text = |directory: Option<usize>, tag: u16| {
        block.bytes_of(block.entry(directory?, tag)?).and_then(text)
    };
    let taken = text(exif, DATE_TIME_ORIGINAL).and_then(|date| {
        let fraction = text(exif, SUBSEC_TIME_ORIGINAL);
        date_time(&date, fraction.as_deref(), text(exif, OFFSET_TIME_ORIGINAL).as_deref())
    });
    // `ComfyUI` writes its graphs here.
    let name = |tag: u16| {
        text(Some(first), tag)
            .filter(|name| !name.starts_with("prompt:") && !name.starts_with("workflow:"))
    };
    let capture = Capture { taken, make: name(MAKE), model: name(MODEL) };
    (capture != Capture::default()).then_some(capture)
}

/// A text up to its end mark; `None` if it is empty.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = match str::from_utf8(&bytes[..end]) {
        Ok(text) => text.to_owned(),
        // Older cameras write Latin-1.
        Err(_) => bytes[..end].iter().map(|&byte| char::from(byte)).collect(),
    };
    let text: String = text
        .trim()
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_NAME_LENGTH)
        .collect();
    Some(text).filter(|text| !text.is_empty())
}

/// `2024:05:01 12:34:56` with its fraction of a second and its offset from UTC as ISO 8601 (RFC
/// 3339 if there is an offset): `2024-05-01T12:34:56.78+02:00`. `None` if it is no date: cameras
/// without a clock write zeros or blanks.
fn date_time(date: &str, fraction: Option<&str>, offset: Option<&str>) -> Option<String> {
    let bytes: &[u8; 19] = date.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| -> Option<u32> {
        bytes[from..to].iter().all(u8::is_ascii_digit).then(|| date[from..to].parse().ok())?
    };
    let [year, month, day] = [number(0, 4)?, number(5, 7)?, number(8, 10)?];
    let [hour, minute, second] = [number(11, 13)?, number(14, 16)?, number(17, 19)?];
    let separators = [4, 7, 10, 13, 16].map(|at| bytes[at]);
    let separated =
        matches!(separators, [b':' | b'-' | b'/', b':' | b'-' | b'/', b' ' | b'T', b':', b':']);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second is a time, too.
    if !separated
        || year == 0
        || !(1..=days).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let digits = fraction.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let fraction =
        digits.map_or_else(String::new, |digits| format!(".{}", &digits[..digits.len().min(9)]));
    let offset = offset.filter(|offset| is_offset(offset)).unwrap_or_default();
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}"
    ))
}

fn is_offset(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit();
    match *text.as_bytes() {
        [b'Z'] => true,
        [b'+' | b'-', h0, h1, b':', m0, m1] => {
            [h0, h1, m0, m1].into_iter().all(digit) && (h0, h1) <= (b'1', b'9')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_date_or_nothing() {
        let date = |date| date_time(date, None, None);
        assert_eq!(date("2024:05:01 12:34:56").as_deref(), Some("2024-05-01T12:34:56"));
        assert_eq!(date("2024-02-29 00:00:00").as_deref(), Some("2024-02-29T00:00:00"));
        for wrong in [
            "0000:00:00 00:00:00",
            "    :  :     :  :  ",
            "2023:02:29 12:00:00",
            "2024:13:01 12:00:00",
            "2024:05:01 25:00:00",
            "2024:05:01",
            "2024:05:01 12:34:5x",
            "+024:05:01 12:34:56",
            "é024:05:01 12:34:5",
            "",
        ] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fractions_and_offsets_are_kept_where_they_are_such() {
        let of = |fraction, offset| date_time("2024:05:01 12:34:56", fraction, offset).unwrap();
        assert_eq!(of(Some("78"), Some("+02:00")), "2024-05-01T12:34:56.78+02:00");
        assert_eq!(of(Some("0123456789"), Some("Z")), "2024-05-01T12:34:56.012345678Z");
        assert_eq!(of(Some("7 8"), Some("   :  ")), "2024-05-01T12:34:56");
    }

    #[test]
    fn any_bytes_give_an_answer() {
        let mut block = b"II*\0\x08\0\0\0\x02\0".to_vec();
        block.extend(b"\x0F\x01\x02\0\x05\0\0\0\x26\0\0\0"); // MAKE, five bytes at 38
        block.extend(b"\x69\x87\x04\0\x01\0\0\0\x08\0\0\0"); // its own directory for that of Exif
        block.extend(b"\0\0\0\0Acme\0");
        let expected = Capture { make: Some("Acme".to_owned()), ..Capture::default() };
        assert_eq!(capture(&block), Some(expected));
        for end in 0..block.len() {
            capture(&block[..end]);
        }
        for at in 0..block.len() {
            let mut changed = block.clone();
            changed[at] ^= 0xFF;
            capture(&changed);
        }
        assert_eq!(text(b"caf\xe9\0rest").as_deref(), Some("café"));
        assert_eq!(text(b" \0"), None);
    }
}
