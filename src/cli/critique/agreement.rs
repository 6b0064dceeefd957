//! How far people agree, in lines for a terminal.

use gemscope::critique::{Agreement, ColumnAgreement, Confusion};

use super::super::output;

/// The lines about all columns.
pub(super) fn lines(agreement: &Agreement) -> Vec<String> {
    let mut lines = vec![format!(
        "labels of people: {} frames, {} rows of no frame",
        agreement.frames, agreement.rows_of_no_frame
    )];
    for (name, column) in &agreement.columns {
        match column {
            ColumnAgreement::Numbers(numbers) => lines.push(format!(
                "{name}: rank correlation {}, mean difference {:.2}, over {} frames",
                two(numbers.spearman),
                numbers.mean_difference,
                numbers.frames
            )),
            ColumnAgreement::Words(words) => {
                let weighted = words
                    .weighted_kappa
                    .map_or_else(String::new, |kappa| format!(", weighted {kappa:.2}"));
                lines.push(format!(
                    "{name}: the same for {:.0} %, kappa {}{weighted}",
                    words.same * 100.0,
                    two(words.kappa)
                ));
                lines.push(confusion(words));
            }
        }
    }
    lines
}

fn two(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"))
}

fn confusion(words: &Confusion) -> String {
    let mut rows = vec![vec!["people \\ run".to_owned()]];
    rows[0].extend(words.words.iter().cloned());
    for (word, counts) in words.words.iter().zip(&words.counts) {
        let counts = counts.iter().map(ToString::to_string);
        rows.push(std::iter::once(word.clone()).chain(counts).collect());
    }
    output::table(&rows)
}
