"""The facts of the embedded model: one table a relation, every fact in Chinese and English.

Line: ``subject zh|subject en|value zh|value en``.
"""

TABLES: dict[str, str] = {
    "capital": """中国|China|北京|Beijing
法国|France|巴黎|Paris
英国|the United Kingdom|伦敦|London
德国|Germany|柏林|Berlin
日本|Japan|东京|Tokyo
韩国|South Korea|首尔|Seoul
美国|the United States|华盛顿|Washington
俄罗斯|Russia|莫斯科|Moscow
意大利|Italy|罗马|Rome
西班牙|Spain|马德里|Madrid
葡萄牙|Portugal|里斯本|Lisbon
加拿大|Canada|渥太华|Ottawa
澳大利亚|Australia|堪培拉|Canberra
印度|India|新德里|New Delhi
埃及|Egypt|开罗|Cairo
巴西|Brazil|巴西利亚|Brasilia
阿根廷|Argentina|布宜诺斯艾利斯|Buenos Aires
墨西哥|Mexico|墨西哥城|Mexico City
希腊|Greece|雅典|Athens
土耳其|Turkey|安卡拉|Ankara
泰国|Thailand|曼谷|Bangkok
越南|Vietnam|河内|Hanoi
马来西亚|Malaysia|吉隆坡|Kuala Lumpur
印度尼西亚|Indonesia|雅加达|Jakarta
菲律宾|the Philippines|马尼拉|Manila
瑞典|Sweden|斯德哥尔摩|Stockholm
挪威|Norway|奥斯陆|Oslo
芬兰|Finland|赫尔辛基|Helsinki
丹麦|Denmark|哥本哈根|Copenhagen
荷兰|the Netherlands|阿姆斯特丹|Amsterdam
比利时|Belgium|布鲁塞尔|Brussels
奥地利|Austria|维也纳|Vienna
瑞士|Switzerland|伯尔尼|Bern
波兰|Poland|华沙|Warsaw
匈牙利|Hungary|布达佩斯|Budapest
捷克|the Czech Republic|布拉格|Prague
爱尔兰|Ireland|都柏林|Dublin
古巴|Cuba|哈瓦那|Havana
伊朗|Iran|德黑兰|Tehran
新西兰|New Zealand|惠灵顿|Wellington""",
    "symbol": """氢|hydrogen|H|H
氦|helium|He|He
锂|lithium|Li|Li
碳|carbon|C|C
氮|nitrogen|N|N
氧|oxygen|O|O
氟|fluorine|F|F
氖|neon|Ne|Ne
钠|sodium|Na|Na
镁|magnesium|Mg|Mg
铝|aluminium|Al|Al
硅|silicon|Si|Si
磷|phosphorus|P|P
硫|sulfur|S|S
氯|chlorine|Cl|Cl
钾|potassium|K|K
钙|calcium|Ca|Ca
钛|titanium|Ti|Ti
铁|iron|Fe|Fe
镍|nickel|Ni|Ni
铜|copper|Cu|Cu
锌|zinc|Zn|Zn
银|silver|Ag|Ag
锡|tin|Sn|Sn
碘|iodine|I|I
钨|tungsten|W|W
铂|platinum|Pt|Pt
金|gold|Au|Au
汞|mercury|Hg|Hg
铅|lead|Pb|Pb
铀|uranium|U|U""",
    "product": """微信|WeChat|腾讯|Tencent
QQ|QQ|腾讯|Tencent
王者荣耀|Honor of Kings|腾讯|Tencent
iPhone|the iPhone|苹果公司|Apple
iPad|the iPad|苹果公司|Apple
Mac电脑|the Mac|苹果公司|Apple
Siri|Siri|苹果公司|Apple
Windows|Windows|微软|Microsoft
Xbox|the Xbox|微软|Microsoft
Office|Microsoft Office|微软|Microsoft
安卓|Android|谷歌|Google
Chrome浏览器|the Chrome browser|谷歌|Google
Gemini|Gemini|谷歌|Google
抖音|Douyin|字节跳动|ByteDance
豆包|Doubao|字节跳动|ByteDance
TikTok|TikTok|字节跳动|ByteDance
淘宝|Taobao|阿里巴巴|Alibaba
支付宝|Alipay|蚂蚁集团|Ant Group
通义千问|Qwen|阿里云|Alibaba Cloud
文心一言|Ernie Bot|百度|Baidu
百度地图|Baidu Maps|百度|Baidu
ChatGPT|ChatGPT|OpenAI|OpenAI
GPT-4|GPT-4|OpenAI|OpenAI
Claude|Claude|Anthropic|Anthropic
Llama|Llama|Meta|Meta
脸书|Facebook|Meta|Meta
DeepSeek|DeepSeek|深度求索|DeepSeek AI
Kimi|Kimi|月之暗面|Moonshot AI
智谱清言|ChatGLM|智谱AI|Zhipu AI
讯飞星火|the Spark model|科大讯飞|iFlytek
鸿蒙系统|HarmonyOS|华为|Huawei
盘古大模型|the Pangu model|华为|Huawei
混元大模型|Hunyuan|腾讯|Tencent
小爱同学|XiaoAi|小米|Xiaomi
PlayStation|the PlayStation|索尼|Sony
Switch游戏机|the Nintendo Switch|任天堂|Nintendo
Model 3汽车|the Model 3|特斯拉|Tesla
Alexa|Alexa|亚马逊|Amazon
Kindle|the Kindle|亚马逊|Amazon
Galaxy手机|the Galaxy phone|三星|Samsung
Photoshop|Photoshop|Adobe|Adobe
Grok|Grok|xAI|xAI
PyTorch|PyTorch|Meta|Meta
TensorFlow|TensorFlow|谷歌|Google
Java语言|the Java language|Sun公司|Sun Microsystems
美团外卖|Meituan Waimai|美团|Meituan
小红书|Xiaohongshu|行吟科技|Xingin""",
    "author": """红楼梦|Dream of the Red Chamber|曹雪芹|Cao Xueqin
西游记|Journey to the West|吴承恩|Wu Cheng'en
三国演义|Romance of the Three Kingdoms|罗贯中|Luo Guanzhong
水浒传|Water Margin|施耐庵|Shi Nai'an
史记|Records of the Grand Historian|司马迁|Sima Qian
本草纲目|Compendium of Materia Medica|李时珍|Li Shizhen
阿Q正传|The True Story of Ah Q|鲁迅|Lu Xun
骆驼祥子|Rickshaw Boy|老舍|Lao She
围城|Fortress Besieged|钱钟书|Qian Zhongshu
三体|The Three-Body Problem|刘慈欣|Liu Cixin
哈姆雷特|Hamlet|莎士比亚|Shakespeare
罗密欧与朱丽叶|Romeo and Juliet|莎士比亚|Shakespeare
战争与和平|War and Peace|托尔斯泰|Tolstoy
罪与罚|Crime and Punishment|陀思妥耶夫斯基|Dostoevsky
悲惨世界|Les Miserables|雨果|Victor Hugo
老人与海|The Old Man and the Sea|海明威|Hemingway
傲慢与偏见|Pride and Prejudice|简·奥斯汀|Jane Austen
堂吉诃德|Don Quixote|塞万提斯|Cervantes
浮士德|Faust|歌德|Goethe
百年孤独|One Hundred Years of Solitude|马尔克斯|Garcia Marquez
物种起源|On the Origin of Species|达尔文|Darwin
哈利·波特|Harry Potter|罗琳|J. K. Rowling
福尔摩斯探案集|the Sherlock Holmes stories|柯南·道尔|Conan Doyle
小王子|The Little Prince|圣埃克苏佩里|Saint-Exupery
变形记|The Metamorphosis|卡夫卡|Kafka""",
    "inventor": """电话|the telephone|贝尔|Bell
白炽灯|the light bulb|爱迪生|Edison
留声机|the phonograph|爱迪生|Edison
飞机|the airplane|莱特兄弟|the Wright brothers
改良蒸汽机|the improved steam engine|瓦特|James Watt
活字印刷术|movable type printing|毕昇|Bi Sheng
造纸术|improved papermaking|蔡伦|Cai Lun
地动仪|the seismoscope|张衡|Zhang Heng
炸药|dynamite|诺贝尔|Nobel
避雷针|the lightning rod|富兰克林|Franklin
青霉素|penicillin|弗莱明|Fleming
青蒿素|artemisinin|屠呦呦|Tu Youyou
杂交水稻|hybrid rice|袁隆平|Yuan Longping
万维网|the World Wide Web|蒂姆·伯纳斯-李|Tim Berners-Lee
相对论|the theory of relativity|爱因斯坦|Einstein
万有引力定律|the law of gravitation|牛顿|Newton
镭|radium|居里夫人|Marie Curie
X射线|X-rays|伦琴|Rontgen
元素周期表|the periodic table|门捷列夫|Mendeleev
无线电报|the wireless telegraph|马可尼|Marconi
Linux内核|the Linux kernel|林纳斯·托瓦兹|Linus Torvalds
Python语言|the Python language|吉多·范罗苏姆|Guido van Rossum
C语言|the C language|丹尼斯·里奇|Dennis Ritchie
交流发电机|the alternating-current motor|特斯拉|Nikola Tesla
听诊器|the stethoscope|雷奈克|Laennec
天花疫苗|the smallpox vaccine|詹纳|Jenner""",
    "class": """鲸|whale|哺乳动物|mammal
海豚|dolphin|哺乳动物|mammal
蝙蝠|bat|哺乳动物|mammal
老虎|tiger|哺乳动物|mammal
大象|elephant|哺乳动物|mammal
兔子|rabbit|哺乳动物|mammal
企鹅|penguin|鸟类|bird
鸵鸟|ostrich|鸟类|bird
老鹰|eagle|鸟类|bird
鸽子|pigeon|鸟类|bird
麻雀|sparrow|鸟类|bird
鸭子|duck|鸟类|bird
鲨鱼|shark|鱼类|fish
金鱼|goldfish|鱼类|fish
鲤鱼|carp|鱼类|fish
海马|seahorse|鱼类|fish
青蛙|frog|两栖动物|amphibian
蟾蜍|toad|两栖动物|amphibian
蛇|snake|爬行动物|reptile
乌龟|turtle|爬行动物|reptile
鳄鱼|crocodile|爬行动物|reptile
蜥蜴|lizard|爬行动物|reptile
蚂蚁|ant|昆虫|insect
蜜蜂|bee|昆虫|insect
蝴蝶|butterfly|昆虫|insect
蚊子|mosquito|昆虫|insect""",
    "continent": """肯尼亚|Kenya|非洲|Africa
尼日利亚|Nigeria|非洲|Africa
摩洛哥|Morocco|非洲|Africa
埃塞俄比亚|Ethiopia|非洲|Africa
南非|South Africa|非洲|Africa
蒙古|Mongolia|亚洲|Asia
尼泊尔|Nepal|亚洲|Asia
新加坡|Singapore|亚洲|Asia
沙特阿拉伯|Saudi Arabia|亚洲|Asia
巴基斯坦|Pakistan|亚洲|Asia
乌克兰|Ukraine|欧洲|Europe
冰岛|Iceland|欧洲|Europe
罗马尼亚|Romania|欧洲|Europe
克罗地亚|Croatia|欧洲|Europe
保加利亚|Bulgaria|欧洲|Europe
智利|Chile|南美洲|South America
秘鲁|Peru|南美洲|South America
哥伦比亚|Colombia|南美洲|South America
委内瑞拉|Venezuela|南美洲|South America
玻利维亚|Bolivia|南美洲|South America
巴拿马|Panama|北美洲|North America
牙买加|Jamaica|北美洲|North America
危地马拉|Guatemala|北美洲|North America
斐济|Fiji|大洋洲|Oceania
萨摩亚|Samoa|大洋洲|Oceania""",
    "department": """发烧|a fever|内科|internal medicine
咳嗽|a cough|呼吸科|the respiratory department
牙疼|a toothache|口腔科|dentistry
皮疹|a rash|皮肤科|dermatology
骨折|a broken bone|骨科|orthopedics
视力模糊|blurred vision|眼科|ophthalmology
耳鸣|ringing ears|耳鼻喉科|the ENT department
胸痛|chest pain|心内科|cardiology
心悸|palpitations|心内科|cardiology
腹泻|diarrhea|消化科|gastroenterology
胃痛|a stomach ache|消化科|gastroenterology
头晕|dizziness|神经内科|neurology
失眠|insomnia|神经内科|neurology
抑郁|depression|精神科|psychiatry
尿频|frequent urination|泌尿科|urology
怀孕|a pregnancy|妇产科|obstetrics
糖尿病|diabetes|内分泌科|endocrinology
甲亢|an overactive thyroid|内分泌科|endocrinology
烧伤|a burn|烧伤科|the burn unit
扭伤|a sprain|骨科|orthopedics
鼻塞|a stuffy nose|耳鼻喉科|the ENT department
脱发|hair loss|皮肤科|dermatology
孩子发烧|a child's fever|儿科|pediatrics
贫血|anemia|血液科|hematology
关节痛|joint pain|风湿科|rheumatology""",
    "antonym": """大|big|小|small
高|tall|矮|short
快|fast|慢|slow
热|hot|冷|cold
新|new|旧|old
好|good|坏|bad
多|many|少|few
黑|black|白|white
开|open|关|closed
早|early|晚|late
轻|light|重|heavy
强|strong|弱|weak
富|rich|穷|poor
干|dry|湿|wet
硬|hard|软|soft
甜|sweet|苦|bitter
远|far|近|near
真|true|假|false
胖|fat|瘦|thin
深|deep|浅|shallow
上|up|下|down
胜利|victory|失败|defeat
开始|begin|结束|end
增加|increase|减少|decrease
简单|simple|复杂|complex
安静|quiet|吵闹|noisy
干净|clean|肮脏|dirty
勇敢|brave|胆小|timid
美丽|beautiful|丑陋|ugly
公开|public|秘密|secret""",
    "word": """苹果|apple
水|water
书|book
猫|cat
狗|dog
太阳|sun
月亮|moon
学校|school
老师|teacher
学生|student
医生|doctor
医院|hospital
朋友|friend
家庭|family
时间|time
钱|money
火车|train
汽车|car
城市|city
国家|country
音乐|music
电影|movie
桌子|table
椅子|chair
窗户|window
门|door
鱼|fish
鸟|bird
花|flower
树|tree
山|mountain
河|river
海|sea
雨|rain
雪|snow
风|wind
火|fire
茶|tea
咖啡|coffee
牛奶|milk
面包|bread
米饭|rice
鸡蛋|egg
糖|sugar
盐|salt
手|hand
脚|foot
眼睛|eye
心|heart
头|head
国王|king
孩子|child
爱|love
和平|peace
梦|dream
科学|science
语言|language
历史|history
数学|mathematics
春天|spring""",
}
