//! Functions, procedures and aggregates; types of one's own.

use super::super::acl::Kind;
use super::super::catalogs::{Catalog, EnumLabel, Function, Type};
use super::super::labels::function_word;
use super::super::snapshot::Snapshot;
use super::super::tables::{Difference, differences};
use super::common::{Object, PG_PROC, PG_TYPE};
use super::{ALTERED, Diff, Pair, Place, from_to, listed};
use crate::identifiers::{quote_literal, written_identifier};
use crate::observations::ChangeKind;

fn object<'a>(state: &Snapshot, function: &'a Function) -> Object<'a> {
    let signature = state.function_signature(function);
    let name = state.qualified(function.schema, &function.name);
    Object {
        word: function_word(function.kind),
        name: &function.name,
        schema: Some(function.schema),
        owner: Some(function.owner),
        arguments: signature.strip_prefix(&name).unwrap_or_default().to_owned(),
        acl: Some((Kind::Function, &function.acl)),
    }
}

fn type_object(of: &Type) -> Object<'_> {
    Object {
        word: if of.kind == 'd' { "domain" } else { "type" },
        name: &of.name,
        schema: Some(of.schema),
        owner: Some(of.owner),
        arguments: String::new(),
        acl: Some((Kind::Type, &of.acl)),
    }
}

impl Diff<'_> {
    pub(super) fn functions(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::Function,
            &before.tables.functions,
            &after.tables.functions,
            |diff, _, row: &Function, is_before| {
                let schema = if is_before { diff.now(Catalog::Schema, row.schema)? } else { row.schema };
                let state = if is_before { before } else { after };
                let arguments: Vec<_> = row.arguments.0.iter().map(|oid| state.type_name(*oid, -1)).collect();
                Some(format!("{schema} {} {}", row.name, arguments.join(",")))
            },
        );
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), _) if Self::is_member(after, PG_PROC, oid) => {}
                Pair::Dropped((oid, ..), _) if Self::is_member(before, PG_PROC, oid) => {}
                Pair::Created((oid, ..), is) => self.created(oid, &object(after, is)),
                Pair::Dropped((oid, ..), was) => {
                    let again = before.definition(Catalog::Function, oid).map(str::to_owned);
                    self.dropped(oid, &object(before, was), again);
                }
                Pair::Recreated((oid, ..), was, _, is) => {
                    let again = before.definition(Catalog::Function, oid).map(str::to_owned);
                    self.recreated(oid, &object(before, was), &object(after, is), again);
                    self.common(&object(before, was), &object(after, is));
                }
                Pair::Changed((oid, ..), was, is) => {
                    self.common(&object(before, was), &object(after, is));
                    self.function(oid, was, is);
                }
            }
        }
    }

    fn function(&mut self, oid: u32, was: &Function, is: &Function) {
        let mut words = Vec::new();
        let flag =
            |name: &str, was: bool, is: bool| (was != is).then(|| format!("{name}: {}", from_to(was, is)));
        words.extend(flag("SECURITY DEFINER", was.security_definer, is.security_definer));
        words.extend(flag("LEAKPROOF", was.leakproof, is.leakproof));
        words.extend(flag("STRICT", was.strict, is.strict));
        if was.volatility != is.volatility {
            let word = |volatility| match volatility {
                'i' => "IMMUTABLE",
                's' => "STABLE",
                _ => "VOLATILE",
            };
            words.push(from_to(word(was.volatility), word(is.volatility)));
        }
        if was.parallel != is.parallel {
            words.push(format!("PARALLEL {}", from_to(was.parallel, is.parallel)));
        }
        if was.settings != is.settings {
            words.push(format!("settings {}", from_to(listed(&was.settings), listed(&is.settings))));
        }
        // The text is the same when only names in it are others, which are told by themselves.
        if was.definition != is.definition || was.language != is.language || was.returns != is.returns {
            words.push("another body".to_owned());
        }
        if words.is_empty() {
            return;
        }
        let label = self.after.function_label(oid);
        let text = self.before.definition(Catalog::Function, oid).map(|text| vec![text.to_owned()]);
        self.tell(Place::Changed(ALTERED), ChangeKind::DefinitionChanged, label, words.join("; ")).undo =
            text;
    }

    pub(super) fn types(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::Type,
            &before.tables.types,
            &after.tables.types,
            |diff, _, row: &Type, is_before| {
                // A multirange comes and goes with its range.
                if row.kind == 'm' {
                    return None;
                }
                let schema = if is_before { diff.now(Catalog::Schema, row.schema)? } else { row.schema };
                Some(format!("{schema} {}", row.name))
            },
        );
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), _) if Self::is_member(after, PG_TYPE, oid) => {}
                Pair::Dropped((oid, ..), _) if Self::is_member(before, PG_TYPE, oid) => {}
                Pair::Created((oid, ..), is) => self.created(oid, &type_object(is)),
                Pair::Dropped((oid, ..), was) => {
                    let again = type_again(before, oid, was);
                    self.dropped(oid, &type_object(was), again);
                }
                Pair::Recreated((oid, ..), was, _, is) => {
                    self.recreated(oid, &type_object(was), &type_object(is), None);
                    self.common(&type_object(was), &type_object(is));
                }
                Pair::Changed(_, was, is) if is.kind != 'm' => {
                    self.common(&type_object(was), &type_object(is));
                    self.domain(was, is);
                }
                Pair::Changed(..) => {}
            }
        }
        self.enum_labels();
    }

    fn domain(&mut self, was: &Type, is: &Type) {
        let name = self.after.qualified(is.schema, &is.name);
        let label = type_object(is).label(self.after);
        let place = Place::Changed(ALTERED);
        if was.not_null != is.not_null {
            let undo = format!("ALTER DOMAIN {name} {} NOT NULL", if was.not_null { "SET" } else { "DROP" });
            let detail = if is.not_null { "NOT NULL" } else { "may be NULL" };
            self.tell(place, ChangeKind::TypeChanged, label.clone(), detail).undone_by([undo]);
        }
        if was.default != is.default {
            let undo = match &was.default {
                Some(default) => format!("ALTER DOMAIN {name} SET DEFAULT {default}"),
                None => format!("ALTER DOMAIN {name} DROP DEFAULT"),
            };
            let told = |default: &Option<Box<str>>| default.as_deref().unwrap_or("none").to_owned();
            let detail = format!("default {}", from_to(told(&was.default), told(&is.default)));
            self.tell(place, ChangeKind::TypeChanged, label, detail).undone_by([undo]);
        }
    }

    fn enum_labels(&mut self) {
        let (before, after) = (self.before, self.after);
        for difference in differences(&before.tables.enum_labels, &after.tables.enum_labels) {
            let place = Place::Changed(ALTERED);
            match difference {
                Difference::Added(_, EnumLabel { of, label, .. })
                    if before.tables.has(Catalog::Type, *of) =>
                {
                    let object = format!("type {}", after.type_name(*of, -1));
                    self.tell(place, ChangeKind::EnumLabelAdded, object, quote_literal(label));
                }
                Difference::Changed(_, was, is) if was.label != is.label => {
                    let name = after.type_name(is.of, -1);
                    let (old, new) = (quote_literal(&was.label), quote_literal(&is.label));
                    let undo = format!("ALTER TYPE {name} RENAME VALUE {new} TO {old}");
                    self.tell(place, ChangeKind::EnumLabelRenamed, format!("type {name}"), from_to(old, new))
                        .undone_by([undo]);
                }
                _ => {}
            }
        }
    }
}

/// The statement that makes an enum or a domain anew.
fn type_again(state: &Snapshot, oid: u32, of: &Type) -> Option<String> {
    let name = state.qualified(of.schema, &of.name);
    match of.kind {
        'e' => {
            let mut labels: Vec<_> = state
                .tables
                .enum_labels
                .iter()
                .map(|(_, label)| label)
                .filter(|label| label.of == oid)
                .collect();
            labels.sort_by(|a, b| a.order.total_cmp(&b.order));
            let labels: Vec<_> = labels.iter().map(|label| quote_literal(&label.label)).collect();
            Some(format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", ")))
        }
        'd' => {
            let mut text = format!("CREATE DOMAIN {name} AS {}", state.type_name(of.base, of.modifier));
            if let Some(default) = &of.default {
                text.push_str(&format!(" DEFAULT {default}"));
            }
            if of.not_null {
                text.push_str(" NOT NULL");
            }
            for ((constraint, ..), row) in
                state.tables.constraints.iter().filter(|(_, row)| row.domain == oid)
            {
                if row.kind == 'c' {
                    let definition = state.definition(Catalog::Constraint, constraint)?;
                    text.push_str(&format!(" CONSTRAINT {} {definition}", written_identifier(&row.name)));
                }
            }
            Some(text)
        }
        _ => None,
    }
}
