package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"mssentinel/app/standin/sentinelserver"
)

// registerUnknowns registers the switches for what nobody outside of Microsoft knows.
func registerUnknowns(u *sentinelserver.Unknowns) {
	flag.IntVar(&u.AllInvalidStatus, "all-invalid-status", 400, "answer to a request whose objects are all rejected: 200 or 400")
	flag.IntVar(&u.EmptyListStatus, "empty-list-status", 400, "answer to a request without objects; 200 takes it")
	flag.IntVar(&u.OverLimitStatus, "over-limit-status", 400, "answer to more than 100 objects; 200 takes them")
	treatments := []sentinelserver.Treatment{"taken", sentinelserver.Ignored, sentinelserver.Refused}
	chooseWord(&u.OlderModified, "older-modified", "version whose modified lies before that of the one that stands", treatments)
	chooseWord(&u.SecondVersion, "second-version", "second version of an object in one request", treatments)
	chooseWord(&u.Unrevoked, "unrevoked", "version that is not revoked of an object that is", treatments)
	flag.IntVar(&u.MaxLabels, "max-labels", 0, "labels of an object, 0 for no limit")
	flag.IntVar(&u.MaxLabel, "max-label", 0, "characters of a label, 0 for no limit")
	chooseWord(&u.ExtraLabels, "extra-labels", "labels above these limits", treatments[1:])
	flag.BoolVar(&u.ReservedAsWritten, "reserved-as-written", false, "compare reserved source names with regard to case")
	flag.BoolVar(&u.MissingVersionIs2, "missing-version-is-2", false, "read an object without spec_version as one of STIX 2.0")
	chooseWord(&u.Cut, "cut", "what is counted where a text is cut", []sentinelserver.CutUnit{"characters", sentinelserver.CutUTF16, sentinelserver.CutBytes})
	flag.BoolVar(&u.CutPatterns, "cut-patterns", false, "cut the columns of pattern and observable, too")
	chooseWord(&u.AndComparison, "and-comparison", "comparison joined by AND that becomes the observable",
		[]sentinelserver.Conjunction{"none", sentinelserver.FirstComparison, sentinelserver.LastComparison})
	flag.BoolVar(&u.OneOfOr, "one-of-or", false, "give a row to the first comparison joined by OR alone")
	flag.BoolVar(&u.EveryOperator, "every-operator", false, "extract comparisons of other operators than =, too")
	flag.BoolVar(&u.EscapesUndone, "escapes-undone", false, `undo \' and \\ in observables`)
	flag.StringVar(&u.UpdateMethod, "update-method", "UploadApi", "LastUpdateMethod of an upload")
	flag.BoolVar(&u.TagsFromLabels, "tags-from-labels", false, "fill the column Tags with the labels")
	flag.BoolVar(&u.ExpiredActive, "expired-active", false, "IsActive whatever the times of an object")
	flag.BoolVar(&u.ExpiredNoRow, "expired-no-row", false, "give no row to an object that has expired already")
	flag.BoolVar(&u.DataDropped, "data-dropped", false, "leave the column Data empty, as the owner of a workspace may have it")
	flag.BoolVar(&u.RowsOfLastAlone, "rows-of-last-alone", false, "drop the rows of a version that another one replaces")
}

// chooseWord registers a flag that takes one of these words; the first one is the default, and stands for "" unless the word
// is a value itself.
func chooseWord[T ~string](to *T, name, usage string, words []T) {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = string(w)
	}
	flag.Func(name, usage+": "+strings.Join(quoted, ", "), func(s string) error {
		switch i := slices.Index(words, T(s)); {
		case i < 0:
			return fmt.Errorf("use one of %s", strings.Join(quoted, ", "))
		case s == "taken" || s == "characters" || s == "none":
			*to = ""
		default:
			*to = words[i]
		}
		return nil
	})
}
