// Command mappers serves one of the built-in mappers: the App starts it once for each indicator
// type, with the mapper's name as its argument.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"mssentinel/plugins/address"
	"mssentinel/plugins/asn"
	"mssentinel/plugins/cidr"
	"mssentinel/plugins/emailaddress"
	"mssentinel/plugins/emailsubject"
	"mssentinel/plugins/file"
	"mssentinel/plugins/host"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/registrykey"
	"mssentinel/plugins/url"
)

// version is set when the package is built.
var version = "dev"

// mappers are the constructors of the built-in mappers, by the argument that package builtin gives to each.
var mappers = map[string]func(version string) mapper.Mapper{
	"address":      address.New,
	"asn":          asn.New,
	"cidr":         cidr.New,
	"emailaddress": emailaddress.New,
	"emailsubject": emailsubject.New,
	"file":         file.New,
	"host":         host.New,
	"registrykey":  registrykey.New,
	"url":          url.New,
}

func main() {
	if len(os.Args) != 2 {
		printUsage()
	}
	if os.Args[1] == "version" {
		fmt.Println(version)
		return
	}
	build, ok := mappers[os.Args[1]]
	if !ok {
		printUsage()
	}
	mapper.Serve(build(version))
}

func printUsage() {
	names := strings.Join(slices.Sorted(maps.Keys(mappers)), ", ")
	fmt.Fprintf(os.Stderr, "usage: %s NAME, where NAME is version or a mapper: %s\n", os.Args[0], names)
	os.Exit(2)
}
