# The page from its parts: cmake -DFOLDER=page -DOUT=page.html -P join.cmake

file(READ ${FOLDER}/index.html page)
file(READ ${FOLDER}/style.css style)
set(script "")
foreach(part IN ITEMS base picture tables main)
  file(READ ${FOLDER}/${part}.js text)
  string(APPEND script "${text}")
endforeach()
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
file(WRITE ${OUT} "${page}")
