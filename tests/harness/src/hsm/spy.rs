//! The log of `pkcs11-spy`: each call, with the class of the object that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The first line of a process.
const START: &str = "*************** OpenSC PKCS#11 spy";
/// Attributes that are a secret or private key, or part of one.
pub const SECRETS: [&str; 7] = [
    "CKA_VALUE",
    "CKA_PRIVATE_EXPONENT",
    "CKA_PRIME_1",
    "CKA_PRIME_2",
    "CKA_EXPONENT_1",
    "CKA_EXPONENT_2",
    "CKA_COEFFICIENT",
];

/// One call of a PKCS#11 function.
#[derive(Clone, Debug)]
pub struct Call {
    pub function: String,
    /// Arguments and results.
    pub given: String,
    pub got: String,
    /// Class of the object that it names, as found or created: `CKO_…`.
    pub class: Option<String>,
}

impl Call {
    /// The attributes in its templates.
    pub fn attributes(&self) -> BTreeSet<&str> {
        let lines = self.given.lines().chain(self.got.lines());
        let words = lines.filter_map(|line| line.strip_prefix("    ")?.split(' ').next());
        words.filter(|word| word.starts_with("CKA_")).collect()
    }

    /// The value of an attribute in a template argument.
    pub fn says(&self, attribute: &str) -> Option<&str> {
        self.given.lines().find_map(|line| {
            let (name, value) = line.strip_prefix("    ")?.split_once(' ')?;
            (name == attribute).then(|| value.trim())
        })
    }

    /// Secret bytes among the arguments, in hexadecimal.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = Vec::new();
        let mut within = false;
        for line in self.given.lines() {
            if let Some(word) = attribute(line) {
                within = SECRETS.contains(&word);
                secrets.extend(within.then(String::new));
            } else if within && let Some(secret) = secrets.last_mut() {
                secret.push_str(&dumped(line));
            }
        }
        secrets
    }

    /// All bytes in the results, in hexadecimal.
    pub fn bytes_back(&self) -> String {
        self.got.lines().map(dumped).collect()
    }
}

fn attribute(line: &str) -> Option<&str> {
    let word = line.strip_prefix("    ")?.split(' ').next()?;
    word.starts_with("CKA_").then_some(word)
}

/// The bytes in a line of a dump, such as `    00000000  06 08 2A                 .*`.
fn dumped(line: &str) -> String {
    let bytes = line.strip_prefix("    ").and_then(|line| {
        let (offset, rest) = line.split_once("  ")?;
        let is_offset = offset.len() == 8 && offset.bytes().all(|it| it.is_ascii_hexdigit());
        is_offset.then_some(rest)
    });
    let bytes = bytes.unwrap_or_default().split(' ').take(16);
    let bytes = bytes.take_while(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_hexdigit()));
    bytes.map(str::to_ascii_lowercase).collect()
}

/// The calls in a file, in order.
///
/// The module writes without a lock, so the calls must come from one session at a time.
pub fn calls(file: &Path) -> Vec<Call> {
    let text = std::fs::read(file).expect("calls");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains(START), "no calls logged: {text}");
    let mut calls = Vec::new();
    for process in text.split(START).skip(1) {
        let mut classes = Classes::default();
        let mut blocks: Vec<(String, String)> = Vec::new();
        for line in process.lines() {
            match function(line) {
                Some(name) => blocks.push((name.to_owned(), String::new())),
                None => {
                    if let Some((_, block)) = blocks.last_mut() {
                        block.push_str(line);
                        block.push('\n');
                    }
                }
            }
        }
        let last = blocks.len().saturating_sub(1);
        for (place, (function, block)) in blocks.into_iter().enumerate() {
            let returned = block.matches("Returned:").count();
            // The last process may have been killed.
            assert!(returned == 1 || place == last, "nested calls: {block}");
            calls.push(classes.call(function, &block));
        }
    }
    calls
}

/// The function in a line such as `12: C_Sign`.
fn function(line: &str) -> Option<&str> {
    let (number, name) = line.split_once(": ")?;
    let is_call = number.bytes().all(|it| it.is_ascii_digit()) && name.starts_with("C_");
    is_call.then_some(name)
}

/// The known objects of a process.
#[derive(Default)]
struct Classes {
    of: BTreeMap<String, String>,
    sought: Option<String>,
}

impl Classes {
    fn call(&mut self, function: String, block: &str) -> Call {
        let split = ["\n[out]", "\nObject ", "\nReturned:"];
        let split = split.iter().filter_map(|it| block.find(it)).min();
        let (given, got) = block.split_at(split.unwrap_or(block.len()));
        let mut call = Call { function, given: given.to_owned(), got: got.to_owned(), class: None };
        let after = |text: &str, mark: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(mark));
            line.map(|handle| handle.trim().to_owned())
        };
        match call.function.as_str() {
            "C_FindObjectsInit" => self.sought = call.says("CKA_CLASS").map(str::to_owned),
            "C_FindObjects" => {
                for line in got.lines() {
                    let handle = line.strip_prefix("Object ");
                    let handle = handle.and_then(|it| it.strip_suffix(" matches"));
                    if let (Some(handle), Some(class)) = (handle, &self.sought) {
                        self.of.insert(handle.to_owned(), class.clone());
                    }
                }
            }
            "C_GenerateKeyPair" => {
                for (mark, class) in
                    [("[out] hPublicKey = ", "CKO_PUBLIC_KEY"), ("[out] hPrivateKey = ", "CKO_PRIVATE_KEY")]
                {
                    if let Some(handle) = after(got, mark) {
                        self.of.insert(handle, class.to_owned());
                    }
                }
            }
            "C_CreateObject" | "C_GenerateKey" => {
                call.class = call.says("CKA_CLASS").map(str::to_owned);
            }
            _ => {
                let handle = after(given, "[in] hObject = ").or(after(given, "[in] hKey = "));
                call.class = handle.and_then(|it| self.of.get(&it).cloned());
            }
        }
        call
    }
}
