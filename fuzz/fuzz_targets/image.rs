//! Any bytes as an image file: an error, or as many pixels as the header says.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = gemscope::image::size(Cursor::new(bytes), true);
    // A header may claim much in few bytes, which is slow and not wrong: such files are in the
    // tests.
    if size.as_ref().is_ok_and(|(width, height)| u64::from(*width) * u64::from(*height) > 1 << 20) {
        return;
    }
    if let Ok(decoded) = gemscope::image::decode(bytes, true) {
        assert_eq!(size.expect("what is decoded has a size"), (decoded.width, decoded.height));
        assert_eq!(decoded.rgb.len(), decoded.width as usize * decoded.height as usize * 3);
        assert!((1..=8).contains(&decoded.orientation));
    }
});
