//! Drawing for people: colours, progress, tables, trees. Nothing here decides what is shown.
