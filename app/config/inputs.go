package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"mssentinel/app/platform"
	"mssentinel/plugins/builtin"
)

// prefix stands before the upper-case name of an input in the environment.
const prefix = "MS_SENTINEL_"

// input is one value that the App is given.
type input struct {
	name            string // of the parameter, such as tc_out_path
	label           string // what a person calls it: the name on the screen, else that of the parameter or the variable
	value           string // "" means unset
	environmentOnly bool   // a parameter of this name in the parameter file means nothing
}

// listInputs lists every input, in the order in which [Config] declares them, with the values of the environment.
func listInputs() ([]input, error) {
	all := declaredInputs(reflect.TypeFor[Config]())
	return all, readEnvironment(all)
}

// declaredInputs lists the fields of a struct that the tag input declares, and those of the structs inside it. The
// field for the times to live stands for one input of each built-in type.
func declaredInputs(structure reflect.Type) []input {
	var all []input
	for i := range structure.NumField() {
		field := structure.Field(i)
		_, declared := field.Tag.Lookup("input")
		switch {
		case declared:
			all = append(all, newInput(field.Tag))
		case field.Type == reflect.TypeFor[map[string]time.Duration]():
			for _, t := range builtin.Types {
				all = append(all, input{name: t.TTLInput, label: t.TTLLabel})
			}
		case field.Type == reflect.TypeFor[platform.Network]():
			all = append(all, declaredInputs(field.Type)...)
		case field.Type == reflect.TypeFor[*platform.Inputs]():
			all = append(all, declaredInputs(field.Type.Elem())...)
		}
	}
	return all
}

func newInput(tag reflect.StructTag) input {
	in := input{name: tag.Get("input"), label: tag.Get("label"), environmentOnly: tag.Get("source") == "environment"}
	switch {
	case in.environmentOnly:
		in.label = in.variableName()
	case in.label == "":
		in.label = in.name
	}
	return in
}

func (in input) variableName() string { return prefix + strings.ToUpper(in.name) }

// readEnvironment takes the values from envconfig. That fills a struct, which is made here, since a second one by hand
// would declare every input again. Its fields are texts: what is wrong with the values is said by the reader, all at
// once, whereas envconfig would stop at the first. A tag carries the whole name of the variable, because envconfig
// would otherwise also read the variable without the prefix.
func readEnvironment(all []input) error {
	fields := make([]reflect.StructField, len(all))
	for i, in := range all {
		fields[i] = reflect.StructField{
			Name: "Input" + strconv.Itoa(i),
			Type: reflect.TypeFor[string](),
			Tag:  reflect.StructTag(fmt.Sprintf("envconfig:%q", in.variableName())),
		}
	}
	values := reflect.New(reflect.StructOf(fields))
	if err := envconfig.Process("", values.Interface()); err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	for i := range all {
		all[i].value = values.Elem().Field(i).String()
	}
	return nil
}

// overlayFile lets the values of the parameter file win over those of the environment.
func overlayFile(all []input, values map[string]string) {
	for i := range all {
		if value := values[all[i].name]; strings.TrimSpace(value) != "" {
			all[i].value = value
		}
	}
}
