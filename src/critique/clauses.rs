//! stub
/// stub
pub fn clauses(prompt: &str, most: usize) -> Vec<String> { prompt.split(',').take(most).map(|c| c.trim().to_owned()).collect() }
