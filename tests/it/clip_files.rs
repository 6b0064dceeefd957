//! Clips that an ffmpeg makes of its own test picture, for tests of whole videos and of their
//! frames.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::ffmpeg;

pub const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

/// Runs ffmpeg in `dir` with these words, and gives it `input`.
pub fn make(dir: &Path, words: &str, input: &[u8]) {
    let mut program = Command::new(ffmpeg());
    program.current_dir(dir).args(["-y", "-v", "error"]).args(words.split(' '));
    let mut child = program.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A clip of 160 by 96 pixels.
pub fn clip(dir: &Path, name: &str, source: &str, coding: &str) {
    make(dir, &format!("-f lavfi -i testsrc2=size=160x96:{source} {coding} {name}"), &[]);
}

/// Half of a clip of 100 frames, without the end that it had.
pub fn cut_clip(dir: &Path, name: &str) {
    clip(dir, "whole.mkv", "rate=25:duration=4", &format!("{H264} -g 25"));
    let whole = fs::read(dir.join("whole.mkv")).unwrap();
    fs::write(dir.join(name), &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(dir.join("whole.mkv")).unwrap();
}

/// Clips of many kinds, by their names: two seconds of 25 frames each, but for `one.mkv` of one
/// frame and `b-frames.mkv` of 29.97 a second; and two files in which no video is.
pub fn of_every_kind(dir: &Path) {
    clip(dir, "plain.mp4", "rate=25:duration=2", H264);
    make(dir, "-display_rotation 90 -i plain.mp4 -c copy turned.mov", &[]);
    clip(dir, "b-frames.mkv", "rate=30000/1001:duration=2", &format!("{H264} -bf 3"));
    clip(dir, "one.mkv", "rate=25:duration=1", &format!("-frames:v 1 {H264}"));
    clip(dir, "deep.mkv", "rate=25:duration=2", "-c:v ffv1 -pix_fmt yuv420p10le");
    // A packet of VP8 may hold no frame, and one of MPEG-4 two.
    clip(dir, "vp8.webm", "rate=25:duration=2", "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16");
    clip(dir, "old.avi", "rate=25:duration=2", "-c:v mpeg4 -bf 2");
    let varies = format!("-vf select='gt(t,1)+not(mod(n,20))' -fps_mode vfr {H264}");
    clip(dir, "varies.m4v", "rate=25:duration=2", &varies);
    make(dir, "-f lavfi -i sine=d=1 -c:a aac sound.mp4", &[]);
    fs::write(dir.join("nonsense.webm"), "nonsense").unwrap();
    // No name is an option, a pattern or an address.
    for name in ["-i odd: #t=1 'ü'.mp4", "100%d %04d\n\"[x]*.mp4"] {
        fs::copy(dir.join("plain.mp4"), dir.join(name)).unwrap();
    }
}
