package stories

import (
	"mssentinel/templates"
)

func tellHelp() []Story {
	return []Story{{"help", Full, "what the screens and the words mean", templates.HelpPage(newFrame("Help", "help"))}}
}
