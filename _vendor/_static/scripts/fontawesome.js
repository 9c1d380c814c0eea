// Takes the place of a script of the theme that draws every icon of Font Awesome a second time, as
// vector graphics, and weighs as much as everything else on a page. The style sheet already draws
// the icons from a web font.
