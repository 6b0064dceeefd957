//! Images and folders as people have them.
