package mapper

import "mssentinel/plugins/mapper/wire"

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
