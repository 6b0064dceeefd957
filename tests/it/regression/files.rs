//! Files that belong to the user.
