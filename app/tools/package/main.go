// Command package puts the App's package together: target/TCVA_-_Microsoft_Sentinel_v1.tcx, and beside it the folder of
// the same name with what is inside. package.sh runs it in the top folder of the repository, after it has built the
// executables app and mappers. The same input gives the same bytes.
//
//	package -executables target/bin -target target [./my-mapper …]
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	executables := flag.String("executables", "target/bin", "folder with the executables app and mappers")
	target := flag.String("target", "target", "folder to write to")
	flag.Parse()
	path, size, err := buildPackage(".", *executables, *target, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
	fmt.Printf("%s (%.1f MiB)\n", path, float64(size)/(1<<20))
}
