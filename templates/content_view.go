package templates

// ContentPage is the CONTENT view of REPORT: what Microsoft Sentinel can do with the indicators, for download.
type ContentPage struct {
	Frame
	// Template is the file that deploys everything.
	Template ContentFile
	Groups   []ContentGroup
}

// ContentFile is a file for download: its address and how much it is, in bytes.
type ContentFile struct {
	URL  string
	Name string
	Size int64
}

// ContentGroup is the content of one kind.
type ContentGroup struct {
	ID, Title, Text string
	Items           []ContentItem
}

// ContentItem is one thing that can be deployed.
type ContentItem struct {
	ContentFile
	Title       string
	Description string
	// Severity is that of an alert; "" where there are none.
	Severity string
	Tables   []string
	Cost     string
}
