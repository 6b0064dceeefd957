//! A reader of protobuf, the format of ONNX files, that skips the weights.

use std::io::{self, BufRead, Read as _, Seek};

/// A buffered reader that can pass over bytes.
pub(super) trait Reader: BufRead + Seek {}

impl<R: BufRead + Seek> Reader for R {}

/// The content of a field.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A number.
    Number(u64),
    /// The number of bytes that follow, to be read or skipped.
    Bytes(u64),
}

/// Gives each field of a message of `length` bytes to `take`, which has to take all bytes of it.
pub(super) fn each_field<R: Reader>(
    reader: &mut R,
    length: u64,
    take: &mut dyn FnMut(&mut R, u64, Field) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let key = varint(reader, &mut left)?;
        let size = match key & 7 {
            0 => {
                let number = varint(reader, &mut left)?;
                take(reader, key >> 3, Field::Number(number))?;
                continue;
            }
            1 => 8,
            2 => varint(reader, &mut left)?,
            5 => 4,
            wire => return Err(io::Error::other(format!("a field of wire type {wire}"))),
        };
        left = left
            .checked_sub(size)
            .ok_or_else(|| io::Error::other("a field is longer than its message"))?;
        if key & 7 == 2 { take(reader, key >> 3, Field::Bytes(size))? } else { skip(reader, size)? }
    }
    Ok(())
}

/// A text of `size` bytes.
pub(super) fn text(reader: &mut impl Reader, size: u64) -> io::Result<String> {
    /// Longer values are no names.
    const MAX_LENGTH: u64 = 4096;
    if size > MAX_LENGTH {
        return Err(io::Error::other("a name is too long"));
    }
    let mut bytes = vec![0; size as usize];
    reader.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Skips `size` bytes. If the file is shorter, the next field is missing.
pub(super) fn skip(reader: &mut impl Reader, size: u64) -> io::Result<()> {
    // Small fields stay within the buffer; what is large is not read at all.
    if size < 4096 {
        let skipped = io::copy(&mut reader.take(size), &mut io::sink())?;
        return if skipped == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    }
    let offset =
        i64::try_from(size).map_err(|_| io::Error::other("a field is longer than any file"))?;
    reader.seek_relative(offset)
}

/// A number, whose bytes are taken from those that are `left` of its message.
pub(super) fn varint(reader: &mut impl BufRead, left: &mut u64) -> io::Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        *left = left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("a number is longer than its message"))?;
        reader.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7F) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(io::Error::other("a number of more than 64 bits"))
}
