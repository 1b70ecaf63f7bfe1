//! The stack machine of pickles: one instruction after the other, none of which can do more than push a value.

use std::collections::HashMap;

use super::{Fault, Global, Node, Value, build, fault, value};

/// More values than any table of embeddings holds; a hostile file ends here.
const NODES: usize = 20_000_000;

/// Stack, marks and memo over an arena of nodes.
pub(super) struct Machine<'a> {
    rest: &'a [u8],
    pub(super) nodes: Vec<Node>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: HashMap<u64, usize>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    /// Runs until `STOP` and returns the value on top.
    pub(super) fn run(mut self) -> Result<Value, Fault> {
        loop {
            let [code] = self.take::<1>()?;
            if code == b'.' {
                let top = self.pop()?;
                return value(&self.nodes, top, 8);
            }
            if !(self.constant(code)? || self.container(code)? || self.call(code)?) {
                return Err(fault(
                    "a pickle of numpy arrays, lists or dictionaries only",
                    format!("opcode 0x{code:02x}"),
                ));
            }
        }
    }

    /// Numbers, text, bytes, frames.
    fn constant(&mut self, code: u8) -> Result<bool, Fault> {
        let node = match code {
            0x80 => return self.take::<1>().map(|_| true),
            0x95 => return self.take::<8>().map(|_| true),
            b'N' => Node::None,
            0x88 | 0x89 => Node::Bool(code == 0x88),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.take()?))),
            b'K' => Node::Int(i64::from(u8::from_le_bytes(self.take()?))),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.take()?))),
            0x8a => Node::Int(self.long()?),
            b'I' | b'L' => self.digits()?,
            b'G' => Node::Float(f64::from_be_bytes(self.take()?)),
            b'F' => Node::Float(number(&self.until_newline()?)?),
            b'X' | 0x8c | 0x8d => Node::Text(self.text(code)?),
            b'B' | b'C' | 0x8e | 0x96 | b'T' | b'U' => Node::Bytes(self.sized(code)?.to_vec()),
            _ => return Ok(false),
        };
        self.push(node)?;
        Ok(true)
    }

    /// Lists, tuples, dictionaries, and what is put into them; memo and stack.
    fn container(&mut self, code: u8) -> Result<bool, Fault> {
        match code {
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b']' => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b'l' | b't' | b'd' => self.collect(code)?,
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let begin = self.stack.len().checked_sub(count).ok_or_else(cut)?;
                let items = self.stack.split_off(begin);
                self.push(Node::Tuple(items))?;
            }
            b'a' => {
                let items = vec![self.pop()?];
                self.append(items)?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let item = self.pop()?;
                let items = vec![self.pop()?, item];
                self.assign(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.assign(&items)?;
            }
            _ => return self.remember(code),
        }
        Ok(true)
    }

    fn remember(&mut self, code: u8) -> Result<bool, Fault> {
        let place = match code {
            b'q' | b'h' => u64::from(u8::from_le_bytes(self.take()?)),
            b'r' | b'j' => u64::from(u32::from_le_bytes(self.take()?)),
            b'p' | b'g' => self.until_newline()?.trim().parse().map_err(|_| cut())?,
            0x94 => self.memo.len() as u64,
            _ => return Ok(false),
        };
        match code {
            b'h' | b'j' | b'g' => self.stack.push(*self.memo.get(&place).ok_or_else(cut)?),
            _ => drop(self.memo.insert(place, self.top()?)),
        }
        Ok(true)
    }

    /// Names and the calls of them.
    fn call(&mut self, code: u8) -> Result<bool, Fault> {
        match code {
            b'c' => {
                let (module, name) = (self.until_newline()?, self.until_newline()?);
                self.push(Node::Global(Global::named(&module, &name)?))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(Node::Text(module)), Some(Node::Text(name))) = (self.nodes.get(module), self.nodes.get(name))
                else {
                    return Err(cut());
                };
                let global = Global::named(module, name)?;
                self.push(Node::Global(global))?;
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let made = build::call(&self.nodes, callee, arguments)?;
                self.push(made)?;
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?);
                if let Some(node) = build::fill(&self.nodes, object, state)? {
                    let place = self.nodes.get_mut(object).ok_or_else(cut)?;
                    *place = node;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn collect(&mut self, code: u8) -> Result<(), Fault> {
        let items = self.since_mark()?;
        match code {
            b'l' => self.push(Node::List(items)),
            b't' => self.push(Node::Tuple(items)),
            _ => {
                self.push(Node::Dict(Vec::new()))?;
                self.assign(&items)
            }
        }
    }

    fn append(&mut self, items: Vec<usize>) -> Result<(), Fault> {
        let list = self.top()?;
        match self.nodes.get_mut(list) {
            Some(Node::List(list)) => list.extend(items),
            _ => return Err(cut()),
        }
        Ok(())
    }

    fn assign(&mut self, items: &[usize]) -> Result<(), Fault> {
        let dict = self.top()?;
        let Some(Node::Dict(dict)) = self.nodes.get_mut(dict) else { return Err(cut()) };
        for pair in items.chunks(2) {
            let [key, item] = pair else { return Err(cut()) };
            dict.push((*key, *item));
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), Fault> {
        if self.nodes.len() >= NODES {
            return Err(fault("at most 20 million values", "more"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<usize, Fault> {
        self.stack.pop().ok_or_else(cut)
    }

    fn top(&self) -> Result<usize, Fault> {
        self.stack.last().copied().ok_or_else(cut)
    }

    fn since_mark(&mut self) -> Result<Vec<usize>, Fault> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or_else(cut)?;
        Ok(self.stack.split_off(mark))
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.slice(N)?.try_into().map_err(|_| cut())
    }

    /// Reads bytes behind their length; its width depends on the opcode.
    fn sized(&mut self, code: u8) -> Result<&'a [u8], Fault> {
        let length = match code {
            b'C' | 0x8c | b'U' => u64::from(u8::from_le_bytes(self.take()?)),
            0x8d | 0x8e | 0x96 => u64::from_le_bytes(self.take()?),
            _ => u64::from(u32::from_le_bytes(self.take()?)),
        };
        self.slice(usize::try_from(length).map_err(|_| cut())?)
    }

    fn text(&mut self, code: u8) -> Result<String, Fault> {
        let bytes = self.sized(code)?;
        // Lone surrogates can stand in latin-1 data of protocol 2 only behind `_codecs.encode`: those stay below U+0100.
        String::from_utf8(bytes.to_vec()).map_err(|_| fault("UTF-8 text", "other bytes"))
    }

    fn until_newline(&mut self) -> Result<String, Fault> {
        let length = self.rest.iter().position(|&byte| byte == b'\n').ok_or_else(cut)?;
        let line = String::from_utf8_lossy(self.slice(length)?).into_owned();
        self.slice(1)?;
        Ok(line)
    }

    fn digits(&mut self) -> Result<Node, Fault> {
        let line = self.until_newline()?;
        match line.as_str() {
            "00" | "01" => Ok(Node::Bool(line == "01")),
            digits => digits.trim_end_matches('L').parse().map(Node::Int).map_err(|_| fault("a whole number", digits)),
        }
    }

    fn long(&mut self) -> Result<i64, Fault> {
        let [length] = self.take()?;
        let bytes = self.slice(usize::from(length))?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let target = wide.get_mut(..bytes.len()).ok_or_else(|| fault("a number of at most 64 bits", "a longer one"))?;
        target.copy_from_slice(bytes);
        Ok(i64::from_le_bytes(wide))
    }
}

fn cut() -> Fault {
    fault("a whole pickle", "a cut or damaged one")
}

fn number(text: &str) -> Result<f64, Fault> {
    text.trim().parse().map_err(|_| fault("a number", text))
}
