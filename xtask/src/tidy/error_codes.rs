//! One file knows what the error codes of servers mean: `core/src/resp/error_class.rs`.
//!
//! Everywhere else in the core, code asks for the `ErrorClass`. When each file compares codes for
//! itself, one file learns of a new code and the others do not. Tests may compare codes: that is
//! how they say what a server sent.
//!
//! The check finds two things: a `code()`, or a variable `code`, that is compared with a string or
//! with a constant; and a string that is exactly a known code, in a pattern, in a comparison or in
//! a list. Limits: of macro calls, it reads those whose arguments are expressions, and `matches!`.

use super::Complaint;
use super::items::{attributes, is_test};
use super::modules::Crate;
use super::sources::Source;
use proc_macro2::Span;
use std::path::Path;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};

/// The crate that the rule is for.
const FOLDER: &str = "core/src";

/// The one place that compares codes.
const PLACE: &str = "core/src/resp/error_class.rs";

/// Codes of Redis, Valkey and Sentinel that mean nothing else as a whole string. `READONLY` is not
/// here, since it is a command, too.
const CODES: &[&str] = &[
    "ASK",
    "BUSY",
    "BUSYGROUP",
    "BUSYKEY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "DENIED",
    "ERR",
    "EXECABORT",
    "INPROG",
    "INVALIDOBJ",
    "IOERR",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOGOODSLAVE",
    "NOGROUP",
    "NOMASTERLINK",
    "NOPERM",
    "NOPROTO",
    "NOQUORUM",
    "NOREPLICAS",
    "NOSCRIPT",
    "NOTBUSY",
    "NOTREADY",
    "OOM",
    "TRYAGAIN",
    "UNBLOCKED",
    "UNKILLABLE",
    "WRONGPASS",
    "WRONGTYPE",
];

/// Methods that compare their receiver with their argument.
const COMPARISONS: &[&str] =
    &["contains", "ends_with", "eq", "eq_ignore_ascii_case", "starts_with"];

pub(super) fn check(member: &Crate<'_>) -> Vec<Complaint> {
    if member.folder != Path::new(FOLDER) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let modules = member.modules.values().filter(|m| !m.is_test);
    for module in modules.filter(|m| m.source.path != Path::new(PLACE)) {
        let mut walk = Walk { source: module.source, compared: Compared::Nothing, found };
        // A module within has its own entry.
        let items = module.items.iter().filter(|i| !matches!(i, syn::Item::Mod(_)));
        items.for_each(|item| walk.visit_item(item));
        found = walk.found;
    }
    found
}

/// What the strings are compared with that are visited now.
#[derive(Clone, Copy, PartialEq)]
enum Compared {
    /// They are compared with nothing.
    Nothing,
    /// With something: a known code is a complaint.
    Anything,
    /// With the code of an error: any string is a complaint.
    Code,
}

/// Walks one file.
struct Walk<'a> {
    /// The file.
    source: &'a Source,
    /// What is compared around the expression or pattern that is visited now.
    compared: Compared,
    /// What is wrong so far.
    found: Vec<Complaint>,
}

impl Walk<'_> {
    fn complain(&mut self, at: Span, what: &str) {
        let text = format!("{what} is compared here: ask for the ErrorClass, see {PLACE}");
        self.found.push(Complaint::new(self.source, at.start().line, text));
    }

    /// Visits a pattern or an expression whose strings are compared with `other`.
    fn within(&mut self, other: Option<&syn::Expr>, visit: impl FnOnce(&mut Self)) {
        let code = other.is_some_and(is_code);
        let compared = if code { Compared::Code } else { Compared::Anything };
        let before = std::mem::replace(&mut self.compared, compared);
        visit(self);
        self.compared = before;
    }

    /// Visits one side of a comparison.
    fn side(&mut self, side: &syn::Expr, other: &syn::Expr) {
        match bare(side) {
            side @ syn::Expr::Lit(_) => self.within(Some(other), |walk| walk.visit_expr(side)),
            syn::Expr::Path(path) if is_code(other) => {
                let last = path.path.segments.last();
                if let Some(name) = last.map(|s| &s.ident).filter(|name| is_constant(name)) {
                    self.complain(name.span(), "an error code");
                }
            }
            side => self.visit_expr(side),
        }
    }

    fn take_string(&mut self, at: Span, text: &str) {
        let known = CODES.contains(&text);
        if self.compared == Compared::Code || (self.compared == Compared::Anything && known) {
            self.complain(at, &format!("the error code {text:?}"));
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        // What stands deeper is no longer the side of a comparison, unless it is a literal.
        let literal = matches!(expression, syn::Expr::Lit(_));
        let compared = if literal { self.compared } else { Compared::Nothing };
        let before = std::mem::replace(&mut self.compared, compared);
        visit::visit_expr(self, expression);
        self.compared = before;
    }

    fn visit_expr_match(&mut self, call: &'ast syn::ExprMatch) {
        self.visit_expr(&call.expr);
        for arm in &call.arms {
            self.within(Some(&call.expr), |walk| walk.visit_pat(&arm.pat));
            self.visit_expr(&arm.body);
        }
    }

    fn visit_expr_let(&mut self, condition: &'ast syn::ExprLet) {
        self.within(Some(&condition.expr), |walk| walk.visit_pat(&condition.pat));
        self.visit_expr(&condition.expr);
    }

    fn visit_expr_binary(&mut self, comparison: &'ast syn::ExprBinary) {
        if matches!(comparison.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_)) {
            self.side(&comparison.left, &comparison.right);
            self.side(&comparison.right, &comparison.left);
        } else {
            visit::visit_expr_binary(self, comparison);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if !COMPARISONS.iter().any(|name| call.method == name) || call.args.len() != 1 {
            return visit::visit_expr_method_call(self, call);
        }
        let argument = &call.args[0];
        self.side(&call.receiver, argument);
        self.side(argument, &call.receiver);
    }

    /// A list of codes is there to be compared with.
    fn visit_expr_array(&mut self, list: &'ast syn::ExprArray) {
        for element in &list.elems {
            self.within(None, |walk| walk.visit_expr(element));
        }
    }

    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        let name = match pattern {
            syn::Pat::Ident(name) => Some(&name.ident),
            syn::Pat::Path(path) => path.path.segments.last().map(|last| &last.ident),
            _ => None,
        };
        if let Some(name) = name.filter(|n| self.compared == Compared::Code && is_constant(n)) {
            self.complain(name.span(), "an error code");
        }
        // The whole pattern is compared, however deep the literal stands in it.
        let outside = self.compared == Compared::Nothing;
        if outside {
            self.compared = Compared::Anything;
        }
        visit::visit_pat(self, pattern);
        if outside {
            self.compared = Compared::Nothing;
        }
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.take_string(text.span(), &text.value());
    }

    fn visit_lit_byte_str(&mut self, text: &'ast syn::LitByteStr) {
        self.take_string(text.span(), &String::from_utf8_lossy(&text.value()));
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.clone();
        if call.path.is_ident("matches") {
            if let Ok((expression, pattern, guard)) = matches_arguments.parse2(tokens) {
                Walk::visit_expr(self, &expression);
                self.within(Some(&expression), |walk| Walk::visit_pat(walk, &pattern));
                guard.iter().for_each(|guard| Walk::visit_expr(self, guard));
            }
        } else if let Ok(list) =
            Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated.parse2(tokens)
        {
            list.iter().for_each(|expression| Walk::visit_expr(self, expression));
        }
    }
}

/// What `matches!` is called with: an expression, a pattern, and perhaps a guard.
fn matches_arguments(
    input: ParseStream<'_>,
) -> syn::Result<(syn::Expr, syn::Pat, Option<syn::Expr>)> {
    let expression = input.parse()?;
    input.parse::<syn::Token![,]>()?;
    let pattern = syn::Pat::parse_multi_with_leading_vert(input)?;
    let guard = match input.parse::<Option<syn::Token![if]>>()? {
        Some(_) => Some(input.parse()?),
        None => None,
    };
    input.parse::<Option<syn::Token![,]>>()?;
    Ok((expression, pattern, guard))
}

/// The expression without what does not change its meaning here: `&x`, `(x)`, `x.as_str()`,
/// `Some(x)`.
fn bare(expression: &syn::Expr) -> &syn::Expr {
    match expression {
        syn::Expr::Reference(e) => bare(&e.expr),
        syn::Expr::Paren(e) => bare(&e.expr),
        syn::Expr::MethodCall(e) if e.method.to_string().starts_with("as_") => bare(&e.receiver),
        syn::Expr::Call(e) if e.args.len() == 1 && is_named(&e.func, "Some") => bare(&e.args[0]),
        e => e,
    }
}

/// Whether this is the code of an error: `e.code()`, `e.map(ServerError::code)`, `code`, or a
/// tuple with one of these.
fn is_code(expression: &syn::Expr) -> bool {
    match bare(expression) {
        syn::Expr::MethodCall(e) => {
            e.method == "code" || e.args.iter().any(|a| is_named(a, "code"))
        }
        syn::Expr::Tuple(e) => e.elems.iter().any(is_code),
        e => is_named(e, "code"),
    }
}

fn is_named(expression: &syn::Expr, name: &str) -> bool {
    let syn::Expr::Path(path) = expression else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

fn is_constant(name: &syn::Ident) -> bool {
    !name.to_string().contains(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::*;
    use std::collections::BTreeSet;

    /// How many complaints there are about the file at `path`.
    fn count(path: &str, text: &str) -> usize {
        let root = format!("mod {};", Path::new(path).file_stem().unwrap().display());
        let files = [("core/Cargo.toml", ""), ("core/src/lib.rs", &root), (path, text)];
        let sources = files.map(|(path, text)| Source::new(path, text.to_owned()).expect("parses"));
        let crates = modules::crates(&sources, &mut BTreeSet::new());
        check(&crates[0]).len()
    }

    #[test]
    fn comparisons_of_codes_are_found() {
        let table = [
            ("error.code() == \"MOVED\"", 1),
            ("\"ANY\" != error.code()", 1),
            ("matches!(error.code(), \"LOADING\" | \"ANY\")", 2),
            ("matches!(x, Some(e) if matches!(e.code(), \"ASK\" if x == \"ASK\"))", 2),
            ("match error.code() { \"NOAUTH\" | \"ANY\" => 1, _ => 2 }", 2),
            ("match (ask, error.code()) { (true, \"ANY\") => 1, _ => 2 }", 1),
            ("match code { READ_ONLY => 1, self::MOVED if x => 2, _ => 3 }", 2),
            ("if let \"READONLY\" = code {}", 1),
            ("[\"BUSY\", \"LOADING\", \"ANY\"].contains(&error.code())", 2),
            ("NOT_NOW.contains(&error.code())", 1),
            ("error.code().starts_with(\"ANY\")", 1),
            ("text.starts_with(\"CLUSTERDOWN\")", 1),
            ("bytes == b\"LOADING\"", 1),
            ("error.is_some_and(|e| e.code() == \"NOPERM\")", 1),
            ("error.map(ServerError::code) == Some(\"NOSCRIPT\")", 1),
            ("assert!(error.code() == \"NOSCRIPT\", \"{}\", 1)", 1),
            ("const A: &[&str] = &[\"MISCONF\", \"OOM\"];", 2),
            // Not compared, not a code, or a command.
            ("cmd(\"ASKING\"); log(\"MOVED\"); format!(\"{} MOVED\", error.code())", 0),
            ("a.code() == b.code() && name == \"READONLY\" && error.code().len() == 3", 0),
            ("match name { \"READONLY\" | \"READWRITE\" => say(\"MOVED\"), _ => code }", 0),
            ("match word { a if a == f(\"MOVED\") => error.code(), B => 1 }", 0),
            ("x.contains(\"a MOVED\"); set.contains(code); Point { x } == code", 0),
        ];
        for (text, expected) in table {
            let file = format!("fn f() {{ {text} }}");
            assert_eq!(count("core/src/a.rs", &file), expected, "{text}");
            assert_eq!(count("core/src/a.rs", &format!("#[cfg(test)] mod t {{ {file} }}")), 0);
        }
        let text = "fn f() { error.code() == \"MOVED\" }";
        assert_eq!(count("core/src/a.rs", &format!("fn g() {{}} #[cfg(test)] {text}")), 0);
    }
}
