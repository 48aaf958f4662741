// Command help writes the page Help of the screens, templates/help.html: the README of the package, with the words of the
// glossary and the details of the mappings. So Help and README cannot differ. It is made when the code is generated and not
// when it is asked for: the App needs no reader of Markdown, and what a link leads to is known before the package is built.
//
//	help -root ../.. -to templates/help.html
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "top folder of the repository")
	to := flag.String("to", "templates/help.html", "file to write")
	flag.Parse()
	page, err := drawHelp(*root)
	if err == nil {
		err = os.WriteFile(*to, page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "help:", err)
		os.Exit(1)
	}
}
