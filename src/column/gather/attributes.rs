//! Which attributes the events of a block have, and the values of those that an index covers.

use super::Gather;
use crate::column::buffer::{ColumnBuffer, Values};
use crate::column::schema::Field;
use crate::event::ValueType;
use crate::index::attributes::{AttributeId, BlockAttributes};

impl Gather {
    /// The attributes of what was gathered.
    #[must_use]
    pub fn attributes(&self) -> BlockAttributes {
        let (mut texts, mut others) = (Vec::new(), Vec::new());
        let order = self.order();
        let columns = order.iter().filter_map(|&at| self.columns.get(at as usize));
        for column in columns.filter(|column| column.id.field == Field::Attribute) {
            let id = id(column);
            match &column.values {
                Values::Texts(values) if column.id.value_type == ValueType::String => {
                    let distinct = values.ends.len();
                    let entries = (0..distinct).map(|code| values.entry(code as u16));
                    texts.push((id, distinct, entries));
                }
                _ => others.push(id),
            }
        }
        BlockAttributes::choose(self.events(), texts, others.into_iter())
    }
}

fn id(column: &ColumnBuffer) -> AttributeId {
    AttributeId {
        table: column.id.table as u8,
        value_type: column.id.value_type as u8,
        key: column.id.key.to_string(),
    }
}
