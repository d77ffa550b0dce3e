//! Reads an expression out of its tokens.

use std::sync::Arc;

use super::super::pattern::Pattern;
use super::Expr;
use super::tokens::Token;

/// How deep an expression may be nested.
const DEPTH: u32 = 200;
/// Parts that an expression may come to: of `CASE` and of lists, parts are written out more than once.
const PARTS: usize = 20_000;

/// A recursive descent over tokens; none wherever something is not understood.
pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    /// How deep it may still go.
    depth: u32,
    /// Parts that may still be written out once more.
    parts: usize,
}

impl<'a> Parser<'a> {
    /// The expression that all the tokens make.
    pub(super) fn read(tokens: &'a [Token]) -> Option<Expr> {
        let mut parser = Self { tokens, at: 0, depth: DEPTH, parts: PARTS };
        let expr = parser.or()?;
        (parser.at == tokens.len()).then_some(expr)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(found)) if found == symbol);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Option<Expr> {
        let mut parts = vec![self.and()?];
        while self.eat_word("OR") {
            parts.push(self.and()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::Or(parts)) }
    }

    fn and(&mut self) -> Option<Expr> {
        let mut parts = vec![self.not()?];
        while self.eat_word("AND") {
            parts.push(self.not()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Expr::And(parts)) }
    }

    fn not(&mut self) -> Option<Expr> {
        self.deeper(Self::not_here)
    }

    /// Goes one level deeper, if that is not too deep.
    fn deeper(&mut self, read: fn(&mut Self) -> Option<Expr>) -> Option<Expr> {
        self.depth = self.depth.checked_sub(1)?;
        let found = read(self);
        self.depth += 1;
        found
    }

    /// Takes note that an expression is written out once more.
    fn again(&mut self, expr: &Expr, times: usize) -> Option<()> {
        self.parts = self.parts.checked_sub(size(expr).saturating_mul(times))?;
        Some(())
    }

    fn not_here(&mut self) -> Option<Expr> {
        if self.eat_word("NOT") {
            return Some(Expr::Not(Box::new(self.not()?)));
        }
        let mut left = self.operand()?;
        // Each turn of it nests what was there before.
        for _ in 0..DEPTH {
            if self.eat_word("IS") {
                left = self.is(left)?;
            } else if let Some(operator) = self.operator() {
                let all = self.is_word("ALL");
                if self.eat_word("ANY") || self.eat_word("ALL") {
                    self.eat("(").then_some(())?;
                    let list = self.or()?;
                    self.eat(")").then_some(())?;
                    let Some(items) = items(list) else {
                        return Some(Expr::Other);
                    };
                    self.again(&left, items.len())?;
                    left = any(operator, left, items, all);
                } else {
                    let right = self.operand()?;
                    left = binary(operator, left, right);
                }
            } else {
                return Some(left);
            }
        }
        None
    }

    /// An operator, which bears a schema if the search path does not lead there.
    fn operator(&mut self) -> Option<String> {
        if self.eat_word("OPERATOR") {
            while !self.eat(")") {
                if let Token::Operator(operator) = self.next()? {
                    self.eat(")");
                    return Some(operator);
                }
            }
        }
        let Some(Token::Operator(operator)) = self.peek().cloned() else {
            return None;
        };
        self.at += 1;
        Some(operator)
    }

    /// A case whose results are conditions, as the conditions it comes to.
    fn case(&mut self) -> Option<Expr> {
        if !self.is_word("WHEN") {
            return None;
        }
        let (mut branches, mut before) = (Vec::new(), Vec::new());
        while self.eat_word("WHEN") {
            let condition = self.or()?;
            self.eat_word("THEN").then_some(())?;
            let result = self.or()?;
            before.iter().chain([&condition]).try_for_each(|part| self.again(part, 1))?;
            let mut all = before.clone();
            all.extend([condition.clone(), result]);
            branches.push(Expr::And(all));
            before.push(Expr::Not(Box::new(condition)));
        }
        if self.eat_word("ELSE") {
            before.push(self.or()?);
            branches.push(Expr::And(before));
        }
        self.eat_word("END").then_some(Expr::Or(branches))
    }

    fn is(&mut self, left: Expr) -> Option<Expr> {
        let not = self.eat_word("NOT");
        let flip = |expr: Expr, flipped: bool| {
            if flipped { Expr::Not(Box::new(expr)) } else { expr }
        };
        if self.eat_word("NULL") {
            return Some(Expr::IsNull(Box::new(left), not));
        }
        if self.eat_word("TRUE") {
            return Some(flip(left, not));
        }
        if self.eat_word("FALSE") {
            return Some(flip(left, !not));
        }
        if self.eat_word("DISTINCT") && self.eat_word("FROM") {
            let right = self.operand()?;
            let operator = if not { "=" } else { "<>" };
            return Some(Expr::Binary(operator.to_owned(), Box::new(left), Box::new(right)));
        }
        None
    }

    /// A primary with everything that may be hung behind it.
    fn operand(&mut self) -> Option<Expr> {
        self.deeper(Self::operand_here)
    }

    fn operand_here(&mut self) -> Option<Expr> {
        let mut expr = self.primary()?;
        loop {
            if self.eat("::") {
                self.type_name()?;
            } else if self.eat_word("COLLATE") {
                self.next()?;
                while self.eat(".") {
                    self.next()?;
                }
            } else if self.is_word("AT") {
                self.at += 3;
                self.operand()?;
            } else if self.eat("[") {
                while !self.eat("]") {
                    self.next()?;
                }
                expr = Expr::Other;
            } else if self.eat(".") {
                self.next()?;
                expr = Expr::Other;
            } else {
                return Some(expr);
            }
        }
    }

    fn type_name(&mut self) -> Option<()> {
        let (Token::Name(first) | Token::Word(first)) = self.next()? else {
            return None;
        };
        while self.eat(".") {
            self.next()?;
        }
        let follow: &[&str] = match first.to_ascii_lowercase().as_str() {
            "character" | "bit" => &["varying"],
            "double" => &["precision"],
            "interval" => &["year", "month", "day", "hour", "minute", "second", "to"],
            _ => &[],
        };
        while matches!(self.peek(), Some(Token::Name(name)) if follow.contains(&name.as_str())) {
            self.at += 1;
        }
        if self.eat("(") {
            while !self.eat(")") {
                self.next()?;
            }
        }
        if matches!(self.peek(), Some(Token::Name(name)) if name == "with" || name == "without") {
            self.at += 3;
        }
        while self.eat("[") {
            while !self.eat("]") {
                self.next()?;
            }
        }
        Some(())
    }

    fn primary(&mut self) -> Option<Expr> {
        match self.next()? {
            Token::Text(text) | Token::Number(text) => Some(Expr::Constant(text)),
            Token::Operator(operator) if operator == "-" => match self.operand()? {
                Expr::Constant(number) => Some(Expr::Constant(format!("-{number}"))),
                _ => Some(Expr::Other),
            },
            Token::Symbol(symbol) if symbol == "(" => {
                let inner = self.or()?;
                if self.eat(",") {
                    while !self.eat(")") {
                        self.or()?;
                        self.eat(",");
                    }
                    return Some(Expr::Other);
                }
                self.eat(")").then_some(inner)
            }
            Token::Word(word) => self.keyword(&word),
            Token::Name(mut name) => {
                let mut qualified = false;
                while self.eat(".") {
                    match self.next()? {
                        Token::Name(last) | Token::Word(last) => name = last,
                        _ => return None,
                    }
                    qualified = true;
                }
                if self.eat("(") {
                    let args = self.args()?;
                    return Some(Expr::Call(name, args));
                }
                Some(if qualified { Expr::Other } else { Expr::Column(name) })
            }
            _ => None,
        }
    }

    fn keyword(&mut self, word: &str) -> Option<Expr> {
        match word {
            "NULL" => Some(Expr::Null),
            "TRUE" => Some(Expr::Bool(true)),
            "FALSE" => Some(Expr::Bool(false)),
            "ARRAY" => {
                self.eat("[").then_some(())?;
                let mut items = Vec::new();
                while !self.eat("]") {
                    items.push(self.or()?);
                    self.eat(",");
                }
                Some(Expr::Array(items))
            }
            "VALUE" => Some(Expr::Column("VALUE".to_owned())),
            "CASE" => self.case(),
            _ => {
                let name = match word {
                    "TRIM" => "btrim".to_owned(),
                    other => other.to_lowercase(),
                };
                if self.eat("(") {
                    let args = self.args()?;
                    return Some(Expr::Call(name, args));
                }
                Some(Expr::Call(name, Vec::new()))
            }
        }
    }

    /// Arguments up to the closing parenthesis, whatever separates them.
    fn args(&mut self) -> Option<Vec<Expr>> {
        let mut args = Vec::new();
        while !self.eat(")") {
            let separator = ["BOTH", "LEADING", "TRAILING", "FROM", "FOR", "IN", "PLACING"]
                .iter()
                .any(|word| self.eat_word(word));
            if !separator && !self.eat(",") {
                args.push(self.or()?);
            }
        }
        Some(args)
    }
}

/// How many parts an expression has.
fn size(expr: &Expr) -> usize {
    let all = |parts: &[Expr]| parts.iter().map(size).sum::<usize>();
    1 + match expr {
        Expr::And(parts) | Expr::Or(parts) | Expr::Call(_, parts) | Expr::Array(parts) => all(parts),
        Expr::Not(inner) | Expr::Match(inner, ..) | Expr::IsNull(inner, _) => size(inner),
        Expr::Binary(_, left, right) => size(left) + size(right),
        Expr::Any(_, left, items, _) => size(left) + all(items),
        Expr::Column(_) | Expr::Constant(_) | Expr::Bool(_) | Expr::Null | Expr::Other => 0,
    }
}

/// Operators that hold a text against a constant pattern have it read once and for all.
fn binary(operator: String, left: Expr, right: Expr) -> Expr {
    if let Expr::Constant(text) = &right
        && let Some(pattern) = Pattern::of(&operator, text)
    {
        return Expr::Match(Box::new(left), Arc::new(pattern), !operator.starts_with('!'));
    }
    Expr::Binary(operator, Box::new(left), Box::new(right))
}

fn any(operator: String, left: Expr, items: Vec<Expr>, all: bool) -> Expr {
    if Pattern::of(&operator, "").is_none() {
        return Expr::Any(operator, Box::new(left), items, all);
    }
    let parts = items.into_iter().map(|item| binary(operator.clone(), left.clone(), item)).collect();
    if all { Expr::And(parts) } else { Expr::Or(parts) }
}

/// The members of a list, given as an array or as its text.
fn items(list: Expr) -> Option<Vec<Expr>> {
    match list {
        Expr::Array(items) => Some(items),
        Expr::Constant(text) => {
            let inner = text.strip_prefix('{')?.strip_suffix('}')?;
            Some(inner.split(',').map(|item| Expr::Constant(item.trim_matches('"').to_owned())).collect())
        }
        _ => None,
    }
}
