//! Names of categories, as they are met.

use std::collections::HashMap;

use super::Dataset;

/// The categories of a dataset that is being read, of a format that knows them by their names.
#[derive(Default)]
pub(super) struct Labels {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Labels {
    /// The place of a name; a new one gets the next.
    pub(super) fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    /// The names, in the order in which they were met.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// Sorts the categories of a dataset by their names, of a format that has no order of its own.
pub(super) fn sort_categories(dataset: &mut Dataset) {
    let mut order: Vec<usize> = (0..dataset.categories.len()).collect();
    order.sort_by(|a, b| dataset.categories[*a].cmp(&dataset.categories[*b]));
    let mut places = vec![0; order.len()];
    for (to, from) in order.iter().enumerate() {
        places[*from] = to;
    }
    dataset.categories = order.iter().map(|from| dataset.categories[*from].clone()).collect();
    for object in dataset.images.iter_mut().flat_map(|image| &mut image.objects) {
        object.category = places[object.category];
    }
}
