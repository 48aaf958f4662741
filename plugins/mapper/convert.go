package mapper

import (
	"time"

	"mssentinel/app/text"
	"mssentinel/plugins/mapper/wire"
)

// This file alone knows both our types and the generated ones.

func descriptionToWire(d Description) *wire.Description {
	w := &wire.Description{Name: d.Name, Version: d.Version}
	for _, t := range d.Types {
		w.Types = append(w.Types, &wire.TakenType{Name: t.Name, DefaultTtlHours: int32(t.DefaultTTLHours)})
	}
	return w
}

func descriptionFromWire(w *wire.Description) Description {
	d := Description{Name: w.GetName(), Version: w.GetVersion()}
	for _, t := range w.GetTypes() {
		d.Types = append(d.Types, Type{Name: t.GetName(), DefaultTTLHours: int(t.GetDefaultTtlHours())})
	}
	return d
}

func answerToWire(a Answer) *wire.Answer {
	w := &wire.Answer{Failed: a.Failed}
	for i := range a.Objects {
		w.Objects = append(w.Objects, objectToWire(&a.Objects[i]))
	}
	w.Problems = boundSentences(a.Problems)
	w.Notes = boundSentences(a.Notes)
	return w
}

// maxSentenceBytes bounds a problem or a note, which may quote a value of any length.
const maxSentenceBytes = 500

// boundSentences makes problems and notes fit to travel: gRPC refuses what is not UTF-8.
func boundSentences(list []string) []string {
	var bounded []string
	for _, s := range list {
		bounded = append(bounded, text.Cut(s, maxSentenceBytes))
	}
	return bounded
}

func answerFromWire(w *wire.Answer) Answer {
	a := Answer{Problems: w.GetProblems(), Notes: w.GetNotes(), Failed: w.GetFailed()}
	if len(w.GetObjects()) > 0 {
		a.Objects = make([]Object, len(w.GetObjects()))
	}
	for i, o := range w.GetObjects() {
		objectFromWire(&a.Objects[i], o)
	}
	return a
}

func objectToWire(o *Object) *wire.Object {
	w := &wire.Object{
		Pattern:           o.Pattern,
		Name:              o.Name,
		Description:       o.Description,
		CreatedMs:         o.Created.UnixMilli(),
		Labels:            o.Labels,
		ObjectMarkingRefs: o.ObjectMarkingRefs,
		IndicatorTypes:    o.IndicatorTypes,
	}
	if o.Confidence != nil {
		confidence := int32(*o.Confidence)
		w.Confidence = &confidence
	}
	for _, p := range o.KillChainPhases {
		w.KillChainPhases = append(w.KillChainPhases, &wire.KillChainPhase{KillChainName: p.KillChainName, PhaseName: p.PhaseName})
	}
	for _, r := range o.ExternalReferences {
		w.ExternalReferences = append(w.ExternalReferences,
			&wire.ExternalReference{SourceName: r.SourceName, Url: r.URL, ExternalId: r.ExternalID})
	}
	return w
}

func objectFromWire(o *Object, w *wire.Object) {
	*o = Object{
		Pattern:           w.GetPattern(),
		Name:              w.GetName(),
		Description:       w.GetDescription(),
		Created:           time.UnixMilli(w.GetCreatedMs()).UTC(),
		Labels:            w.GetLabels(),
		ObjectMarkingRefs: w.GetObjectMarkingRefs(),
		IndicatorTypes:    w.GetIndicatorTypes(),
	}
	if w.Confidence != nil {
		confidence := int(w.GetConfidence())
		o.Confidence = &confidence
	}
	for _, p := range w.GetKillChainPhases() {
		o.KillChainPhases = append(o.KillChainPhases, KillChainPhase{KillChainName: p.GetKillChainName(), PhaseName: p.GetPhaseName()})
	}
	for _, r := range w.GetExternalReferences() {
		o.ExternalReferences = append(o.ExternalReferences,
			ExternalReference{SourceName: r.GetSourceName(), URL: r.GetUrl(), ExternalID: r.GetExternalId()})
	}
}
