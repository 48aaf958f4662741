"""Reads patterns, one a line as JSON, and writes for each whether the grammar of OASIS takes it. With the argument one-by-one it answers each
line before it reads the next.

These are the parts of OASIS' validator that look at grammar. The rest of it looks at values, and fails on some patterns.
"""
import json
import multiprocessing
import sys

from antlr4 import CommonTokenStream, InputStream, ParseTreeWalker
from stix2patterns.exceptions import STIXPatternErrorListener
from stix2patterns.v21.grammars.STIXPatternLexer import STIXPatternLexer
from stix2patterns.v21.grammars.STIXPatternParser import STIXPatternParser
from stix2patterns.v21.validator import DuplicateQualifierTypeError, ValidationListener


def valid(line):
    lexer = STIXPatternLexer(InputStream(json.loads(line)))
    lexer.removeErrorListeners()
    errors = STIXPatternErrorListener()
    parser = STIXPatternParser(CommonTokenStream(lexer))
    parser.removeErrorListeners()
    parser.addErrorListener(errors)
    tree = parser.pattern()
    if errors.err_strings:
        return False
    try:
        ParseTreeWalker.DEFAULT.walk(ValidationListener(), tree)
    except DuplicateQualifierTypeError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1:] == ["one-by-one"]:
        for line in iter(sys.stdin.readline, ""):
            print("valid" if valid(line) else "invalid", flush=True)
        sys.exit()
    with multiprocessing.Pool() as pool:
        for verdict in pool.imap(valid, sys.stdin, chunksize=50):
            print("valid" if verdict else "invalid")
